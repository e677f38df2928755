#include "examine/sampling.hpp"

#include <gtest/gtest.h>

namespace conveyor {
namespace {

Sampling taken_at(double rows, bool growing = false) {
  Sampling sampling{20};
  sampling.taken(rows, growing);
  return sampling;
}

TEST(Sampling, TakesTheFirstBatchAndThenOneInSoMany) {
  Sampling sampling{20};
  int taken = 0;
  for (int i = 0; i < 100; ++i) {
    if (sampling.is_due(1000, false)) {
      EXPECT_EQ(i % 20, 0);
      sampling.taken(1000, false);
      ++taken;
    } else {
      sampling.passed();
    }
  }
  EXPECT_EQ(taken, 5);
}

TEST(Sampling, TakesABatchThatIsFourTimesAsLarge) {
  EXPECT_FALSE(taken_at(100).is_due(399, false));
  EXPECT_TRUE(taken_at(100).is_due(400, false));
}

TEST(Sampling, LooksOnceIntoGrowth) {
  EXPECT_TRUE(taken_at(100).is_due(100, true));
  EXPECT_FALSE(taken_at(100, true).is_due(100, true));
}

TEST(Sampling, TakesNoneWhereNobodyWantsIt) { EXPECT_FALSE(Sampling{0}.is_due(1000, true)); }

}  // namespace
}  // namespace conveyor
