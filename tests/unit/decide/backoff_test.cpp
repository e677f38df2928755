#include "decide/backoff.hpp"

#include <gtest/gtest.h>

#include <set>

namespace conveyor {
namespace {

using namespace std::chrono_literals;

TEST(Backoff, GrowsAsTheFibonacciNumbersDoAndStopsAtTheCeiling) {
  Backoff backoff(100ms, 2s, 1);
  for (const auto whole : {100ms, 100ms, 200ms, 300ms, 500ms, 800ms, 1300ms, 2000ms, 2000ms, 2000ms}) {
    const Duration wait = backoff.next();
    EXPECT_GE(wait, whole / 2);
    EXPECT_LE(wait, whole);
  }
  EXPECT_EQ(backoff.failures(), 10u);
}

TEST(Backoff, BeginsAgainAfterASuccess) {
  Backoff backoff(100ms, 10s, 1);
  for (int i = 0; i < 8; ++i) backoff.next();
  backoff.reset();
  EXPECT_EQ(backoff.failures(), 0u);
  EXPECT_LE(backoff.next(), 100ms);
}

TEST(Backoff, TwoAgentsDoNotWaitEquallyLong) {
  std::set<Duration> waits;
  for (std::uint64_t seed = 0; seed < 50; ++seed) waits.insert(Backoff(1s, 10s, seed).next());
  EXPECT_GT(waits.size(), 45u);
}

TEST(Backoff, StaysAtTheCeilingForAsLongAsItTakes) {
  Backoff backoff(1s, 30s, 7);
  for (int i = 0; i < 10000; ++i) {
    const Duration wait = backoff.next();
    ASSERT_GT(wait, 0s);
    ASSERT_LE(wait, 30s);
  }
}

}  // namespace
}  // namespace conveyor
