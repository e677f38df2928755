#include "decide/poll_interval.hpp"

#include <gtest/gtest.h>

namespace conveyor {
namespace {

using namespace std::chrono_literals;

TEST(PollInterval, IsShortWhileThereIsSomethingAndGrowsWhenThereIsNot) {
  PollInterval interval(2ms, 100ms);
  EXPECT_EQ(interval.next(true), 2ms);
  Duration before = 2ms;
  for (int i = 0; i < 30; ++i) {
    const Duration next = interval.next(false);
    EXPECT_TRUE(next > before || next == 100ms);
    EXPECT_LE(next, 100ms);
    before = next;
  }
  EXPECT_EQ(before, 100ms);
  EXPECT_EQ(interval.next(true), 2ms);
}

// Else whoever was at work for a while would find the next change late.
TEST(PollInterval, DoesNotGrowWhileEverybodyIsAtWork) {
  PollInterval interval(2ms, 100ms);
  for (int i = 0; i < 30; ++i) {
    interval.next(false);
    interval.busy();
  }
  EXPECT_LE(interval.next(false), 4ms);
}

TEST(PollInterval, TakesNewBoundsAtOnce) {
  PollInterval interval(2ms, 1s);
  for (int i = 0; i < 30; ++i) interval.next(false);
  interval.set_bounds(1ms, 50ms);
  EXPECT_EQ(interval.next(false), 50ms);
}

}  // namespace
}  // namespace conveyor
