#include "migrate/backoff.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace conveyor::migrate {
namespace {

TEST(Backoff, GrowsAsTheFibonacciNumbersDo) {
  std::vector<std::int64_t> waits;
  for (int failures = 1; failures <= 8; failures++) waits.push_back(backoff(failures, 100, 1'000'000));
  EXPECT_EQ(waits, (std::vector<std::int64_t>{100, 100, 200, 300, 500, 800, 1300, 2100}));
}

TEST(Backoff, HasALongestWait) { EXPECT_EQ(backoff(30, 100, 60'000), 60'000); }

TEST(Backoff, DoesNotOverflowHoweverOftenItFails) {
  EXPECT_EQ(backoff(std::numeric_limits<int>::max(), 100, 3'600'000), 3'600'000);
}

}  // namespace
}  // namespace conveyor::migrate
