#include "decide/token_bucket.hpp"

#include <algorithm>

namespace conveyor {

TokenBucket::TokenBucket(double per_second, double burst_seconds)
    : rate_(std::max(0.0, per_second)), burst_(burst_seconds) {}

void TokenBucket::set_rate(double per_second, Time now) {
  refill(now);
  rate_ = std::max(0.0, per_second);
  tokens_ = std::min(tokens_, rate_ * burst_);
}

Duration TokenBucket::wait(Time now) {
  refill(now);
  if (rate_ == 0 || tokens_ >= 0) return Duration{0};
  // One tick more, so that whoever sleeps exactly this long finds no rounding left over.
  return from_seconds(-tokens_ / rate_) + Duration{1};
}

void TokenBucket::take(double tokens, Time now) {
  refill(now);
  if (rate_ > 0) tokens_ -= tokens;
}

void TokenBucket::refill(Time now) {
  if (filled_at_ != Time{} && now > filled_at_) tokens_ += rate_ * seconds(now - filled_at_);
  if (filled_at_ == Time{} || now > filled_at_) filled_at_ = now;
  if (rate_ == 0) tokens_ = 0;
  tokens_ = std::min(tokens_, rate_ * burst_);
}

}  // namespace conveyor
