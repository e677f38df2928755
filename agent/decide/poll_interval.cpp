#include "decide/poll_interval.hpp"

#include <algorithm>

namespace conveyor {

PollInterval::PollInterval(Duration shortest, Duration longest)
    : shortest_(shortest), longest_(std::max(shortest, longest)), current_(shortest) {}

Duration PollInterval::next(bool found) {
  current_ = found ? shortest_ : std::min(longest_, current_ + current_ / 2 + Duration{1});
  return current_;
}

void PollInterval::set_bounds(Duration shortest, Duration longest) {
  shortest_ = shortest;
  longest_ = std::max(shortest, longest);
  current_ = std::clamp(current_, shortest_, longest_);
}

}  // namespace conveyor
