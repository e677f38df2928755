#include "decide/concurrency.hpp"

#include <gtest/gtest.h>

namespace conveyor {
namespace {

using namespace std::chrono_literals;

constexpr double body = 5e6;

class ConcurrencyTest : public testing::Test {
 protected:
  void answers(int count, Duration latency, bool full = true) {
    for (int i = 0; i < count; ++i) {
      now_ += 300ms;
      concurrency_.answered(latency, body, full, now_);
    }
  }
  Concurrency concurrency_{8};
  Time now_ = Time{} + 1h;
};

TEST_F(ConcurrencyTest, GrowsToItsMaximumWhileEveryPlaceIsUsed) {
  EXPECT_LT(concurrency_.limit(), 8);
  answers(100, 100ms);
  EXPECT_EQ(concurrency_.limit(), 8);
}

TEST_F(ConcurrencyTest, DoesNotGrowWherePlacesStayEmpty) {
  const int before = concurrency_.limit();
  answers(100, 100ms, false);
  EXPECT_EQ(concurrency_.limit(), before);
}

TEST_F(ConcurrencyTest, HalvesWhenTheTargetIsOverloadedButOncePerBurst) {
  answers(100, 100ms);
  for (int i = 0; i < 8; ++i) concurrency_.overloaded(now_ + i * 1ms);
  EXPECT_EQ(concurrency_.limit(), 4);
  concurrency_.overloaded(now_ + 1s);
  EXPECT_EQ(concurrency_.limit(), 2);
  EXPECT_TRUE(concurrency_.reduced());
}

TEST_F(ConcurrencyTest, NeverFallsBelowOne) {
  for (int i = 0; i < 50; ++i) concurrency_.overloaded(now_ += 1s);
  EXPECT_EQ(concurrency_.limit(), 1);
}

TEST_F(ConcurrencyTest, ShrinksWhenAnswersTakeFarLongerThanTheyNeed) {
  answers(100, 20ms);
  answers(60, 5s);
  EXPECT_LT(concurrency_.limit(), 8);
}

TEST_F(ConcurrencyTest, TakesALowerMaximumAtOnce) {
  answers(100, 100ms);
  concurrency_.set_maximum(3);
  EXPECT_EQ(concurrency_.limit(), 3);
}

}  // namespace
}  // namespace conveyor
