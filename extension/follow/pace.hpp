// How long a follower rests between two windows. Pure.
#pragma once

#include <algorithm>

namespace conveyor::follow {

// Milliseconds. A window keeps the copy's batches out, and waits for those under way: beside a copy it takes a fifth of
// the time at most, and comes about once a second; afterwards half of it. With nothing to do the rests grow, so that an
// idle source costs next to nothing, and stay short enough that nobody notices.
class Pace {
 public:
  long after_window(bool copying, long took) {
    idle_ = kShortest;
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
