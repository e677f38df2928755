// Whether the time that a row takes grows with the size of the batch that it is in, or with its position in the job.
//
// Both are looked for in the job's own batches, by ranks and medians, since batches are noisy: a checkpoint, a cold
// cache, another job. A thing is said only if it is significant, large, and shows in every part of the range that was
// seen; and no longer than the latest batches bear it out.
#pragma once

#include <vector>

namespace conveyor {

struct BatchSample {
  double rows;
  double milliseconds;
  double position;  // rows of the job that were done before it
};

// The latest batches, and others spread evenly over all that there were. Of fixed size, without a destructor.
class BatchHistory {
 public:
  void add(const BatchSample& sample);
  std::vector<BatchSample> samples() const;  // in the order of their addition, each once
  long added() const { return added_; }

 private:
  static constexpr int kLatest = 64;
  static constexpr int kSpread = 128;
  BatchSample latest_[kLatest] = {};  // number % kLatest
  BatchSample spread_[kSpread] = {};  // number % stride_ == 0
  int spread_count_ = 0;
  long stride_ = 1;
  long added_ = 0;
};

struct Growth {
  enum Kind { none, size, position } kind = none;
  double exponent = 0;  // size: a batch of n rows takes n^exponent
  double factor = 1;    // by which the time per row grows between `from` and `to`
  double from = 0;      // rows of a batch, or of the job
  double to = 0;
};

Growth growth_with_size(const std::vector<BatchSample>& samples);
Growth growth_with_position(const std::vector<BatchSample>& samples);

// The greater of the two.
Growth find_growth(const std::vector<BatchSample>& samples);

}  // namespace conveyor
