#include "follow/pace.hpp"

#include <gtest/gtest.h>

namespace conveyor::follow {
namespace {

TEST(Pace, RestsAsLongAsItWorkedOnceTheCopyIsDone) {
  Pace pace;
  EXPECT_EQ(pace.after_slice(false, false, 300), 300);
  EXPECT_EQ(pace.after_slice(false, false, 1), Pace::kShortest);
  EXPECT_EQ(pace.after_slice(false, false, 3'600'000), Pace::kLongest);
}

TEST(Pace, DoesNotRestInTheMiddleOfAWindowUnlessThereIsACopy) {
  Pace pace;
  EXPECT_EQ(pace.after_slice(false, true, 300), 0);
  EXPECT_EQ(pace.after_slice(true, true, 300), 1200);
  EXPECT_EQ(pace.after_slice(true, true, 1), 4);
}

TEST(Pace, LeavesTheCopyFourFifthsOfTheTime) {
  Pace pace;
  EXPECT_EQ(pace.after_slice(true, false, 1), Pace::kBesideCopy);
  EXPECT_EQ(pace.after_slice(true, false, 2000), 8000);
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
  pace.after_slice(false, false, 1);
  EXPECT_EQ(pace.after_nothing(), Pace::kShortest);
}

}  // namespace
}  // namespace conveyor::follow
