#include "examine/growth.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

namespace conveyor {

namespace {

constexpr double kSignificance = 4;     // standard deviations of Kendall's S
constexpr double kLeastFactor = 1.5;    // of the time per row, over the range that was seen
constexpr double kLeastExponent = 1.3;  // of the time of a batch
constexpr double kSizeSpread = 4;       // between the largest and the smallest batches, a tenth of both left out
constexpr double kSizePair = 1.5;       // sizes that are told apart
constexpr double kSizeBand = 1.6;       // sizes that count as one: up to so many times larger or smaller
constexpr double kSizeStep = 0.1;       // each part's share of the growth, where even shares are 1: the fixed cost of
constexpr double kPositionStep = 0.3;   // a batch hides growth among the small ones; a server that gets busy grows once
constexpr int kLatest = 8;              // batches that must still be nearer to the growth than to none

struct Point {
  double x;
  double per_row;
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + values.size() / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Kendall's S in standard deviations: how surely `per_row` rises with `x`. Equal x are told apart by nothing.
double significance(std::vector<Point> points) {
  std::sort(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.x < b.x; });
  const auto spread = [](double n) { return n * (n - 1) * (2 * n + 5); };
  double s = 0;
  double variance = spread(points.size());
  double tied = 1;
  for (size_t i = 0; i < points.size(); ++i) {
    for (size_t j = i + 1; j < points.size(); ++j) {
      if (points[i].x == points[j].x) continue;
      s += points[j].per_row > points[i].per_row ? 1 : points[j].per_row < points[i].per_row ? -1 : 0;
    }
    if (i > 0 && points[i].x == points[i - 1].x) {
      ++tied;
    } else {
      variance -= spread(tied);
      tied = 1;
    }
  }
  variance -= spread(tied);
  return variance > 0 ? s / std::sqrt(variance / 18) : 0;
}

// Medians of the time per row in equal parts of the range of x; empty where a part has too few points.
template <size_t parts>
std::vector<double> medians_of_parts(std::span<const Point> points, double first, double last, size_t least) {
  std::array<std::vector<double>, parts> part;
  for (const Point& point : points) {
    const double share = (point.x - first) / (last - first) * parts;
    part[std::clamp(static_cast<int>(share), 0, static_cast<int>(parts) - 1)].push_back(point.per_row);
  }
  std::vector<double> medians;
  for (std::vector<double>& values : part) {
    if (values.size() < least) return {};
    medians.push_back(median(std::move(values)));
  }
  return medians;
}

bool rises_in_each(const std::vector<double>& medians, double share) {
  if (medians.empty() || medians.back() < kLeastFactor * medians.front()) return false;
  const double step = std::pow(medians.back() / medians.front(), share / (medians.size() - 1));
  for (size_t i = 1; i < medians.size(); ++i) {
    if (medians[i] < step * medians[i - 1]) return false;
  }
  return true;
}

std::vector<BatchSample> usable(const std::vector<BatchSample>& samples) {
  std::vector<BatchSample> usable;
  std::copy_if(samples.begin(), samples.end(), std::back_inserter(usable),
               [](const BatchSample& s) { return s.rows >= 1 && s.milliseconds > 0; });
  return usable;
}

// Theil-Sen: the median slope of log time on log rows, over the pairs of batches whose sizes can be told apart.
double exponent_of(const std::vector<BatchSample>& samples) {
  std::vector<double> slopes;
  for (size_t i = 0; i < samples.size(); ++i) {
    for (size_t j = i + 1; j < samples.size(); ++j) {
      const double apart = std::log(samples[j].rows / samples[i].rows);
      if (std::abs(apart) < std::log(kSizePair)) continue;
      slopes.push_back(std::log(samples[j].milliseconds / samples[i].milliseconds) / apart);
    }
  }
  return median(std::move(slopes));
}

// The batches of about one size, of the size that has the most.
std::vector<BatchSample> of_one_size(const std::vector<BatchSample>& samples) {
  std::vector<BatchSample> most;
  for (const BatchSample& middle : samples) {
    std::vector<BatchSample> band;
    for (const BatchSample& s : samples) {
      if (s.rows <= middle.rows * kSizeBand && s.rows >= middle.rows / kSizeBand) band.push_back(s);
    }
    if (band.size() > most.size()) most = std::move(band);
  }
  return most;
}

}  // namespace

void BatchHistory::add(const BatchSample& sample) {
  latest_[added_ % kLatest] = sample;
  if (added_ % stride_ == 0) {
    if (spread_count_ == kSpread) {
      for (int i = 0; i < kSpread / 2; ++i) spread_[i] = spread_[2 * i];
      spread_count_ = kSpread / 2;
      stride_ *= 2;
    }
    if (added_ % stride_ == 0) spread_[spread_count_++] = sample;
  }
  ++added_;
}

std::vector<BatchSample> BatchHistory::samples() const {
  std::vector<BatchSample> all;
  const long latest = std::max(added_ - kLatest, 0L);
  for (int i = 0; i < spread_count_ && i * stride_ < latest; ++i) all.push_back(spread_[i]);
  for (long i = latest; i < added_; ++i) all.push_back(latest_[i % kLatest]);
  return all;
}

Growth growth_with_size(const std::vector<BatchSample>& all) {
  const std::vector<BatchSample> samples = usable(all);
  if (samples.size() < 12) return {};
  std::vector<double> sizes;
  std::vector<Point> points;
  for (const BatchSample& s : samples) {
    sizes.push_back(s.rows);
    points.push_back({std::log(s.rows), s.milliseconds / s.rows});
  }
  std::sort(sizes.begin(), sizes.end());
  const double smallest = sizes[sizes.size() / 10];
  const double largest = sizes[sizes.size() - 1 - sizes.size() / 10];
  if (largest < kSizeSpread * smallest) return {};

  const double exponent = exponent_of(samples);
  if (exponent < kLeastExponent || significance(points) < kSignificance) return {};
  const std::vector<double> medians = medians_of_parts<3>(points, std::log(smallest), std::log(largest), 3);
  if (!rises_in_each(medians, kSizeStep)) return {};

  // Against the line through the medians of all.
  std::vector<double> level;
  for (const BatchSample& s : samples) level.push_back(s.milliseconds / std::pow(s.rows, exponent));
  const double expected = median(level);
  const std::vector<double> latest(level.end() - kLatest, level.end());
  if (median(latest) < expected / std::sqrt(medians.back() / medians.front())) return {};
  return {Growth::size, exponent, medians.back() / medians.front(), smallest, largest};
}

Growth growth_with_position(const std::vector<BatchSample>& all) {
  const std::vector<BatchSample> samples = of_one_size(usable(all));
  if (samples.size() < 24) return {};
  std::vector<Point> points;
  for (const BatchSample& s : samples) points.push_back({s.position, s.milliseconds / s.rows});
  const auto [first, last] =
      std::minmax_element(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.x < b.x; });
  if (last->x <= first->x || significance(points) < kSignificance) return {};
  const std::vector<double> medians = medians_of_parts<4>(points, first->x, last->x, 4);
  if (!rises_in_each(medians, kPositionStep)) return {};

  std::vector<double> latest;
  for (size_t i = points.size() - kLatest; i < points.size(); ++i) latest.push_back(points[i].per_row);
  if (median(latest) < std::sqrt(medians.back() * medians.front())) return {};
  return {Growth::position, 0, medians.back() / medians.front(), first->x, last->x};
}

Growth find_growth(const std::vector<BatchSample>& samples) {
  const Growth size = growth_with_size(samples);
  const Growth position = growth_with_position(samples);
  return size.kind != Growth::none && size.factor >= position.factor ? size : position;
}

}  // namespace conveyor
