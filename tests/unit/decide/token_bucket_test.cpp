#include "decide/token_bucket.hpp"

#include <gtest/gtest.h>

namespace conveyor {
namespace {

using namespace std::chrono_literals;

// Sends bodies of `size` as soon as the bucket lets them; returns how many tokens went in `time`.
double sent(TokenBucket& bucket, double size, Duration time, Time& now) {
  double total = 0;
  const Time end = now + time;
  while (now < end) {
    const Duration wait = bucket.wait(now);
    if (now + wait >= end) break;
    now += wait;
    bucket.take(size, now);
    total += size;
  }
  now = end;
  return total;
}

TEST(TokenBucket, KeepsTheRateWithBodiesOfAnySize) {
  for (const double size : {1.0, 100.0, 5000.0}) {
    TokenBucket bucket(1000);
    Time now = Time{} + 1h;
    bucket.take(0, now);
    EXPECT_NEAR(sent(bucket, size, 60s, now), 60000, 250 + size) << size;
  }
}

TEST(TokenBucket, WithoutARateNothingWaits) {
  TokenBucket bucket;
  const Time now = Time{} + 1h;
  bucket.take(1e9, now);
  EXPECT_EQ(bucket.wait(now), 0s);
}

TEST(TokenBucket, ANewRateCountsAtOnceAlsoForADebt) {
  TokenBucket bucket(10);
  const Time now = Time{} + 1h;
  bucket.take(1000, now);
  EXPECT_NEAR(seconds(bucket.wait(now)), 100, 1);
  bucket.set_rate(10000, now);
  EXPECT_NEAR(seconds(bucket.wait(now)), 0.1, 0.01);
  bucket.set_rate(0, now);
  EXPECT_EQ(bucket.wait(now), 0s);
}

TEST(TokenBucket, SavesUpNoMoreThanItsBurst) {
  TokenBucket bucket(1000, 0.25);
  Time now = Time{} + 1h;
  bucket.take(0, now);
  now += 1h;
  EXPECT_EQ(bucket.wait(now), 0s);
  bucket.take(1250, now);
  EXPECT_NEAR(seconds(bucket.wait(now)), 1.0, 0.01);
}

}  // namespace
}  // namespace conveyor
