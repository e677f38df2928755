#include "decide/backoff.hpp"

#include <algorithm>

namespace conveyor {

namespace {

// splitmix64: enough to spread waits, and every seed (0 too) is a good one.
std::uint64_t next_random(std::uint64_t& state) {
  std::uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

Backoff::Backoff(Duration unit, Duration ceiling, std::uint64_t seed)
    : unit_(unit), ceiling_(ceiling), current_(unit), random_(seed) {}

Duration Backoff::next() {
  ++failures_;
  const Duration whole = std::min(current_, ceiling_);
  if (current_ < ceiling_) {
    const Duration sum = previous_ + current_;
    previous_ = current_;
    current_ = sum;
  }
  const double share = 0.5 + 0.5 * static_cast<double>(next_random(random_) >> 11) / static_cast<double>(1ull << 53);
  return std::chrono::duration_cast<Duration>(whole * share);
}

void Backoff::reset() {
  previous_ = Duration{0};
  current_ = unit_;
  failures_ = 0;
}

}  // namespace conveyor
