// How long a follower rests between two slices of windows. Pure.
#pragma once

#include <algorithm>

namespace conveyor::follow {

// Milliseconds. A slice keeps the copy's batches out, and waits for those under way: beside a copy it takes a fifth of
// the time at most, and a window begins about once a second; afterwards half of it, but for a window of several slices,
// which is behind. With nothing to do the rests grow, so that an idle source costs next to nothing, and stay short
// enough that nobody notices.
class Pace {
 public:
  long after_slice(bool copying, bool more, long took) {
    idle_ = kShortest;
    if (more) return copying ? std::min(4 * took, kLongest) : 0;
    return copying ? std::clamp(4 * took, kBesideCopy, kLongest) : std::clamp(took, kShortest, kLongest);
  }
  long after_nothing() {
    long rest = idle_;
    idle_ = std::min(2 * idle_, kIdle);
    return rest;
  }

  static constexpr long kShortest = 20;
  static constexpr long kIdle = 500;
  static constexpr long kBesideCopy = 1000;
  static constexpr long kLongest = 30000;

 private:
  long idle_ = kShortest;
};

}  // namespace conveyor::follow
