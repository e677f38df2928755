// How many keys the next slice of a window takes. Pure.
#pragma once

#include "migrate/size.hpp"

#include <algorithm>

namespace conveyor::follow {

// Slices come to the job's target_duration as batches do, but stay smaller: their keys are held in memory, and nothing
// is copied meanwhile. One that fails makes the next one half as large, down to a single key.
class SliceSize {
 public:
  int next(const migrate::SizeLimits& limits) const { return std::clamp(size_, 1, most(limits)); }

  void took(long keys, double milliseconds, const migrate::SizeLimits& limits) {
    int present = next(limits);
    float latest = static_cast<float>(milliseconds);
    // A slice that was not full says how long it took, not how much more would have been in time.
    bool full = keys >= present;
    int fitting = migrate::next_size(present, {&latest, 1}, {1, most(limits), limits.target});
    size_ = full ? fitting : std::min(present, std::max(fitting, 1));
  }
  void failed(const migrate::SizeLimits& limits) { size_ = std::max(1, next(limits) / 2); }

  static constexpr int kFirst = 1000;
  static constexpr int kMost = 10000;

 private:
  static int most(const migrate::SizeLimits& limits) { return std::min(kMost, std::max(1, limits.maximum)); }

  int size_ = kFirst;
};

}  // namespace conveyor::follow
