#include "decide/open_requests.hpp"

#include <gtest/gtest.h>

namespace conveyor {
namespace {

using namespace std::chrono_literals;

const Time start = Time{} + 1h;

TEST(OpenRequests, KnowsTheLeastVersionThatIsStillUnderWay) {
  OpenRequests open(15min);
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

TEST(OpenRequests, OneWithoutAnAnswerStaysOpenUntilTheOrphanTimeIsOver) {
  OpenRequests open(15min);
  const auto lost = open.open(5);
  open.open(9);
  open.unanswered(lost, start);
  EXPECT_EQ(open.expire(start + 14min), 0u);
  EXPECT_EQ(open.least(), 5u);
  EXPECT_EQ(open.next_expiry(), start + 15min);
  EXPECT_EQ(open.expire(start + 15min), 1u);
  EXPECT_EQ(open.least(), 9u);
}

TEST(OpenRequests, OneThatIsStillUnderWayNeverExpires) {
  OpenRequests open(1s);
  open.open(5);
  EXPECT_EQ(open.expire(start + 24h), 0u);
  EXPECT_EQ(open.least(), 5u);
  EXPECT_EQ(open.next_expiry(), std::nullopt);
}

TEST(OpenRequests, SettlingTwiceChangesNothing) {
  OpenRequests open(1s);
  const auto a = open.open(5);
  open.open(5);
  open.settle(a);
  open.settle(a);
  open.unanswered(a, start);
  EXPECT_EQ(open.size(), 1u);
  EXPECT_EQ(open.least(), 5u);
}

}  // namespace
}  // namespace conveyor
