// How many requests a target gets at once: additive increase while it answers as fast as it can, multiplicative
// decrease when it says 429 or becomes slow.
#pragma once

#include "decide/clock.hpp"

namespace conveyor {

class Concurrency {
 public:
  explicit Concurrency(int maximum);

  // Requests that may be in flight now: 1 … maximum.
  int limit() const { return static_cast<int>(limit_); }

  // A request of `bytes` was answered after `latency`; `full`: all places were in use, so that more of them could help.
  void answered(Duration latency, double bytes, bool full, Time now);
  // The target said that it is overloaded. Several such answers to one burst count once.
  void overloaded(Time now);

  void set_maximum(int maximum);
  bool reduced() const { return limit() < maximum_; }

 private:
  void decrease(double factor, Time now);

  int maximum_;
  double limit_;
  double best_ =
      0;  // seconds per byte when it was quickest; drifts up slowly, so that a grown index is not "slow" for ever
  double usual_ = 0;     // moving average of the same
  Time decreased_at_{};  // one decrease per round trip
};

}  // namespace conveyor
