#include "follow/slice_size.hpp"

#include <gtest/gtest.h>

namespace conveyor::follow {
namespace {

constexpr migrate::SizeLimits kLimits = {10, 1000000, 1000};

TEST(SliceSize, GrowsWhileSlicesAreFullAndQuick) {
  SliceSize size;
  EXPECT_EQ(size.next(kLimits), SliceSize::kFirst);
  size.took(SliceSize::kFirst, 10, kLimits);
  EXPECT_EQ(size.next(kLimits), 2 * SliceSize::kFirst);
  for (int i = 0; i < 10; i++) size.took(size.next(kLimits), 10, kLimits);
  EXPECT_EQ(size.next(kLimits), SliceSize::kMost);
}

TEST(SliceSize, StaysWhereSlicesAreNotFull) {
  SliceSize size;
  size.took(3, 1, kLimits);
  EXPECT_EQ(size.next(kLimits), SliceSize::kFirst);
}

TEST(SliceSize, ShrinksWhereASliceTookTooLong) {
  SliceSize size;
  size.took(SliceSize::kFirst, 2000, kLimits);
  EXPECT_EQ(size.next(kLimits), SliceSize::kFirst / 2);
  size.took(100, 50000, kLimits);
  EXPECT_EQ(size.next(kLimits), SliceSize::kFirst / 2 / 50);
}

TEST(SliceSize, IsHalvedByFailuresDownToOneKey) {
  SliceSize size;
  size.failed(kLimits);
  EXPECT_EQ(size.next(kLimits), SliceSize::kFirst / 2);
  for (int i = 0; i < 20; i++) size.failed(kLimits);
  EXPECT_EQ(size.next(kLimits), 1);
}

TEST(SliceSize, IsNeverMoreThanTheJobAllows) {
  SliceSize size;
  EXPECT_EQ(size.next({1, 7, 1000}), 7);
  size.failed({1, 7, 1000});
  EXPECT_EQ(size.next({1, 7, 1000}), 3);
}

}  // namespace
}  // namespace conveyor::follow
