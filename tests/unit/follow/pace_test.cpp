#include "follow/pace.hpp"

#include <gtest/gtest.h>

namespace conveyor::follow {
namespace {

TEST(Pace, RestsAsLongAsItWorkedOnceTheCopyIsDone) {
  Pace pace;
  EXPECT_EQ(pace.after_window(false, 300), 300);
  EXPECT_EQ(pace.after_window(false, 1), Pace::kShortest);
  EXPECT_EQ(pace.after_window(false, 3'600'000), Pace::kLongest);
}

TEST(Pace, LeavesTheCopyFourFifthsOfTheTime) {
  Pace pace;
  EXPECT_EQ(pace.after_window(true, 1), Pace::kBesideCopy);
  EXPECT_EQ(pace.after_window(true, 2000), 8000);
}

TEST(Pace, LooksLessAndLessOftenWhileNothingHappens) {
  Pace pace;
  long rest = 0;
  for (int i = 0; i < 4; i++) {
    long next = pace.after_nothing();
    EXPECT_GT(next, rest);
    rest = next;
  }
  for (int i = 0; i < 10; i++) rest = pace.after_nothing();
  EXPECT_EQ(rest, Pace::kIdle);
}

TEST(Pace, LooksSoonAgainBehindAWindow) {
  Pace pace;
  for (int i = 0; i < 10; i++) pace.after_nothing();
  pace.after_window(false, 1);
  EXPECT_EQ(pace.after_nothing(), Pace::kShortest);
}

}  // namespace
}  // namespace conveyor::follow
