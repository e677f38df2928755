#include "decide/concurrency.hpp"

#include <algorithm>

namespace conveyor {

namespace {

constexpr double start_limit = 2;
constexpr double slow_factor = 4;         // so many times the best time per byte counts as slow
constexpr double best_drift = 1.002;      // per answer
constexpr double average_weight = 0.2;    // of a new answer in the moving average
constexpr double least_bytes = 64 << 10;  // small bodies measure the round trip, not the work
constexpr auto shortest_between_decreases = std::chrono::milliseconds(200);

}  // namespace

Concurrency::Concurrency(int maximum)
    : maximum_(std::max(1, maximum)), limit_(std::min<double>(start_limit, maximum_)) {}

void Concurrency::answered(Duration latency, double bytes, bool full, Time now) {
  const double cost = seconds(latency) / std::max(bytes, least_bytes);
  best_ = best_ == 0 ? cost : std::min(best_ * best_drift, cost);
  usual_ = usual_ == 0 ? cost : usual_ + average_weight * (cost - usual_);
  // With n requests sharing one machine each takes n times as long: that alone is no overload.
  if (usual_ > best_ * slow_factor * std::max(1, limit())) {
    decrease(0.9, now);
  } else if (full) {
    limit_ = std::min<double>(maximum_, limit_ + 1.0 / std::max(1.0, limit_));
  }
}

void Concurrency::overloaded(Time now) { decrease(0.5, now); }

void Concurrency::set_maximum(int maximum) {
  maximum_ = std::max(1, maximum);
  limit_ = std::min<double>(limit_, maximum_);
}

void Concurrency::decrease(double factor, Time now) {
  if (decreased_at_ != Time{} && now - decreased_at_ < shortest_between_decreases) return;
  decreased_at_ = now;
  limit_ = std::max(1.0, limit_ * factor);
}

}  // namespace conveyor
