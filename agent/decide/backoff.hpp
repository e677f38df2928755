// How long to wait before trying again: Fibonacci numbers of a unit, with jitter so that many agents do not return at
// once.
#pragma once

#include <cstdint>

#include "decide/clock.hpp"

namespace conveyor {

class Backoff {
 public:
  // Waits are between half and the whole of fib(n) × unit, and never above `ceiling`.
  Backoff(Duration unit, Duration ceiling, std::uint64_t seed);

  // One more failure: the wait before the next attempt.
  Duration next();
  // It worked: the next failure begins again with one unit.
  void reset();
  unsigned failures() const { return failures_; }

 private:
  Duration unit_, ceiling_;
  Duration previous_{0}, current_;
  std::uint64_t random_;
  unsigned failures_ = 0;
};

}  // namespace conveyor
