#include "decide/open_requests.hpp"

#include <gtest/gtest.h>

namespace conveyor {
namespace {

using namespace std::chrono_literals;

const Time start = Time{} + 1h;

TEST(OpenRequests, KnowsTheLeastVersionThatIsStillUnderWay) {
  OpenRequests open;
  EXPECT_EQ(open.least(), std::nullopt);
  const auto first = open.open(10);
  const auto second = open.open(7);
  const auto third = open.open(7);
  EXPECT_EQ(open.least(), 7u);
  open.settle(second);
  EXPECT_EQ(open.least(), 7u);
  open.settle(third);
  EXPECT_EQ(open.least(), 10u);
  open.settle(first);
  EXPECT_EQ(open.least(), std::nullopt);
}

TEST(OpenRequests, OneWithoutAnAnswerStaysOpenAfterWhoeverSentItHasSettled) {
  OpenRequests open;
  const auto sent = open.open(5);
  open.open(9);
  open.lost(5, start);
  open.settle(sent);
  EXPECT_EQ(open.least(), 5u);
  EXPECT_EQ(open.size(), 1u);
}

TEST(OpenRequests, CountsFromTheFirstOneWithoutAnAnswerAndKeepsTheLeastVersion) {
  OpenRequests open;
  EXPECT_EQ(open.lost_since(), std::nullopt);
  open.lost(8, start);
  open.lost(6, start + 1min);
  open.lost(7, start + 2min);
  EXPECT_EQ(open.lost_since(), start);
  EXPECT_EQ(open.least(), 6u);
}

TEST(OpenRequests, SettlingTwiceChangesNothing) {
  OpenRequests open;
  const auto a = open.open(5);
  open.open(5);
  open.settle(a);
  open.settle(a);
  EXPECT_EQ(open.size(), 1u);
  EXPECT_EQ(open.least(), 5u);
}

}  // namespace
}  // namespace conveyor
