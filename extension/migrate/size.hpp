// How many rows the next batch takes. Pure.
#pragma once

#include <span>

namespace conveyor::migrate {

struct SizeLimits {
  int minimum;    // rows
  int maximum;    // rows
  double target;  // milliseconds that a batch should take
};

// The size to use in place of `present`, from the milliseconds of the latest batches that were claimed with this size,
// the newest first; batches of older sizes say nothing. It follows their 90th percentile, at most twice or half of the
// present size, and stays where it is near the target; but one batch that took five times too long makes it at once as
// small as it should have been.
int next_size(int present, std::span<const float> milliseconds, const SizeLimits& limits);

}  // namespace conveyor::migrate
