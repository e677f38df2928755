#include "migrate/size.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace conveyor::migrate {
namespace {

constexpr SizeLimits limits = {10, 100'000, 1000};

int next(int present, std::vector<float> milliseconds, SizeLimits within = limits) {
  return next_size(present, milliseconds, within);
}

TEST(BatchSize, StaysWhereNothingWasMeasuredYet) { EXPECT_EQ(next(1000, {}), 1000); }

TEST(BatchSize, DoublesAtMost) {
  EXPECT_EQ(next(1000, {1}), 2000);
  EXPECT_EQ(next(1000, {500}), 2000);
  EXPECT_EQ(next(1000, {625}), 1600);
}

TEST(BatchSize, StaysNearTheTarget) {
  EXPECT_EQ(next(1000, {900}), 1000);
  EXPECT_EQ(next(1000, {1200}), 1000);
}

TEST(BatchSize, HalvesAtMostWhereBatchesAreRatherLong) {
  EXPECT_EQ(next(1000, {1600}), 625);
  EXPECT_EQ(next(1000, {4900}), 500);
}

TEST(BatchSize, ShrinksAtOnceToWhatItShouldHaveBeenAfterABatchFiveTimesOver) {
  EXPECT_EQ(next(1000, {20'000, 900, 900, 900, 900, 900, 900, 900, 900, 900, 900, 900}), 50);
}

TEST(BatchSize, OneSlowBatchAmongTenDoesNotCount) {
  EXPECT_EQ(next(1000, {900, 2000, 900, 900, 900, 900, 900, 900, 900, 900}), 1000);
  EXPECT_EQ(next(1000, {900, 2000, 2000, 900, 900, 900, 900, 900, 900, 900}), 500);
}

TEST(BatchSize, TheOldestOfManyBatchesAreForgotten) {
  std::vector<float> milliseconds(20, 900);
  milliseconds.insert(milliseconds.end(), 20, 4000);
  EXPECT_EQ(next(1000, milliseconds), 1000);
}

TEST(BatchSize, StaysWithinItsLimits) {
  EXPECT_EQ(next(80'000, {1}), 100'000);
  EXPECT_EQ(next(20, {1'000'000}), 10);
  EXPECT_EQ(next(5000, {}, {1, 1000, 1000}), 1000);
  EXPECT_EQ(next(1, {}, {10, 1000, 1000}), 10);
}

TEST(BatchSize, ABatchThatTookNoTimeIsNoReasonToDivideByIt) { EXPECT_EQ(next(1000, {0}), 2000); }

TEST(BatchSize, ReachesTheTargetAndStaysThere) {
  int size = 1000;
  for (int i = 0; i < 20; i++) size = next(size, {static_cast<float>(size) * 0.05F});
  EXPECT_GE(size, 16'000);
  EXPECT_LE(size, 25'000);
}

}  // namespace
}  // namespace conveyor::migrate
