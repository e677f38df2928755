#include "migrate/size.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace conveyor::migrate {

namespace {

constexpr double kFarTooLong = 5;  // times the target
constexpr double kNear = 0.25;     // of the target: not worth a change, which would forget what was measured
constexpr double kStep = 2;        // at most, either way
constexpr std::size_t kMost = 20;  // batches that are looked at
constexpr double kLeast = 0.1;     // milliseconds: below that the clock says nothing

double percentile90(std::span<const float> milliseconds) {
  std::array<float, kMost> sorted;
  std::size_t count = std::min(milliseconds.size(), kMost);
  std::copy_n(milliseconds.begin(), count, sorted.begin());
  std::sort(sorted.begin(), sorted.begin() + count);
  return sorted[static_cast<std::size_t>(std::ceil(0.9 * static_cast<double>(count))) - 1];
}

}  // namespace

int next_size(int present, std::span<const float> milliseconds, const SizeLimits& limits) {
  double size = present;
  if (!milliseconds.empty()) {
    double newest = std::max<double>(milliseconds.front(), kLeast);
    double usual = std::max(percentile90(milliseconds), kLeast);
    if (newest > kFarTooLong * limits.target)
      size *= limits.target / newest;
    else if (double change = limits.target / usual; change > 1 + kNear || change < 1 - kNear)
      size *= std::clamp(change, 1 / kStep, kStep);
  }
  return static_cast<int>(std::clamp<double>(std::floor(size), limits.minimum, limits.maximum));
}

}  // namespace conveyor::migrate
