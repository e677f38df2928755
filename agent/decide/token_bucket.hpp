// Keeps a rate. A sender waits until the bucket is out of debt, then takes whatever its body holds, so bodies of any
// size pass.
#pragma once

#include "decide/clock.hpp"

namespace conveyor {

class TokenBucket {
 public:
  // per_second 0 (or less): no limit. At most `burst_seconds` worth of tokens are saved up while nothing is sent.
  explicit TokenBucket(double per_second = 0, double burst_seconds = 0.25);

  // Takes effect at once: a debt made at the old rate is paid at the new one.
  void set_rate(double per_second, Time now);
  double rate() const { return rate_; }

  // How long until something may be taken; zero: now.
  Duration wait(Time now);
  void take(double tokens, Time now);

 private:
  void refill(Time now);

  double rate_, burst_;
  double tokens_ = 0;  // below zero: debt
  Time filled_at_{};
};

}  // namespace conveyor
