#include "decide/precedence.hpp"

#include <gtest/gtest.h>

namespace conveyor {
namespace {

using namespace std::chrono_literals;

const Time start = Time{} + 1h;

TEST(Precedence, LetsRequestsGoWhileNoChangeWaits) {
  Precedence precedence;
  EXPECT_TRUE(precedence.request_may_go(start));
  precedence.request_went(start);
  EXPECT_TRUE(precedence.request_may_go(start));
}

TEST(Precedence, HoldsRequestsWhileAChangeWaits) {
  Precedence precedence;
  precedence.live_waits(start);
  EXPECT_FALSE(precedence.request_may_go(start + 20ms));
  precedence.live_waits(start + 20ms);
  EXPECT_FALSE(precedence.request_may_go(start + 110ms));
  precedence.live_went();
  EXPECT_TRUE(precedence.request_may_go(start + 110ms));
}

TEST(Precedence, ForgetsAChangeThatAsksNoMore) {
  Precedence precedence;
  precedence.live_waits(start);
  EXPECT_TRUE(precedence.request_may_go(start + Precedence::asks_every));
}

TEST(Precedence, LetsARequestThroughNowAndThenHoweverManyChangesThereAre) {
  Precedence precedence;
  int went = 0;
  for (Duration passed = 0ms; passed < 20s; passed += 20ms) {
    precedence.live_waits(start + passed);
    if (precedence.request_may_go(start + passed)) {
      ++went;
      precedence.request_went(start + passed);
    }
  }
  EXPECT_EQ(went, 9) << "once in two seconds, the first time after two";
}

}  // namespace
}  // namespace conveyor
