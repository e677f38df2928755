#include "examine/growth.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

namespace conveyor {
namespace {

// Batches of a made-up job. Noise is log-normal: 0.2 is a calm server, 0.5 a busy one, 1 hardly one to measure on.
class Job {
 public:
  explicit Job(unsigned seed) : random_(seed) {}

  void run(double rows, double milliseconds, double noise) {
    std::normal_distribution<double> normal(0, noise);
    samples_.push_back({rows, milliseconds * std::exp(normal(random_)), position_});
    position_ += rows;
  }
  // Sizes wander between `least` and `most`, as those of an adaptive job do.
  double wander(double least, double most) {
    std::uniform_real_distribution<double> step(0.6, 1.6);
    size_ = size_ == 0 ? least : std::clamp(size_ * step(random_), least, most);
    return std::floor(size_);
  }
  double chance() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  double position() const { return position_; }
  std::vector<BatchSample>& samples() { return samples_; }

 private:
  std::mt19937 random_;
  std::vector<BatchSample> samples_;
  double position_ = 0;
  double size_ = 0;
};

using Cost = std::function<double(double rows, double position)>;  // milliseconds

Job job_of(unsigned seed, int batches, double noise, double least, double most, const Cost& cost) {
  Job job(seed);
  for (int i = 0; i < batches; ++i) {
    const double rows = job.wander(least, most);
    job.run(rows, cost(rows, job.position()), noise);
  }
  return job;
}

const Cost linear = [](double rows, double) { return 3 + 0.01 * rows; };
const Cost quadratic = [](double rows, double) { return 3 + 0.01 * rows + 2e-5 * rows * rows; };

int alarms(const std::function<Job(unsigned seed)>& job, Growth (*find)(const std::vector<BatchSample>&),
           int runs = 200) {
  int found = 0;
  for (int seed = 1; seed <= runs; ++seed) found += find(job(seed).samples()).kind != Growth::none;
  return found;
}

TEST(GrowthWithSize, SeesAQuadraticStatementAndItsExponent) {
  const Growth growth = growth_with_size(job_of(1, 40, 0.1, 500, 10000, quadratic).samples());
  ASSERT_EQ(growth.kind, Growth::size);
  EXPECT_NEAR(growth.exponent, 1.85, 0.15);
  EXPECT_GT(growth.factor, 3);
}

TEST(GrowthWithSize, SeesItThroughHeavyNoise) {
  EXPECT_GT(alarms([](unsigned seed) { return job_of(seed, 100, 0.5, 500, 10000, quadratic); }, growth_with_size), 160);
}

TEST(GrowthWithSize, IsSilentAboutALinearStatementHoweverNoisy) {
  for (const double noise : {0.05, 0.2, 0.5, 1.0}) {
    EXPECT_EQ(alarms([&](unsigned seed) { return job_of(seed, 60, noise, 500, 10000, linear); }, growth_with_size), 0)
        << noise;
  }
}

TEST(GrowthWithSize, IsSilentAboutAFixedCostOfEachBatch) {
  const Cost fixed = [](double rows, double) { return 50 + 0.001 * rows; };
  EXPECT_EQ(alarms([&](unsigned seed) { return job_of(seed, 60, 0.3, 100, 10000, fixed); }, growth_with_size), 0);
}

TEST(GrowthWithSize, IsSilentWithoutEnoughBatchesOrSizes) {
  EXPECT_EQ(growth_with_size(job_of(1, 11, 0, 100, 10000, quadratic).samples()).kind, Growth::none);
  EXPECT_EQ(growth_with_size(job_of(1, 100, 0, 5000, 10000, quadratic).samples()).kind, Growth::none);
  EXPECT_EQ(growth_with_size({}).kind, Growth::none);
}

TEST(GrowthWithSize, IsSilentAboutHiccupsOfLargeBatches) {
  // A checkpoint now and then makes some batches ten times slower; there are more large batches than small ones.
  const auto hiccups = [](unsigned seed) {
    Job job(seed);
    int slow = 0;
    for (int i = 0; i < 80; ++i) {
      const double rows = std::min(100 * std::pow(1.5, i), 10000.0);
      if (slow == 0 && job.chance() < 0.05) slow = 4;
      job.run(rows, (3 + 0.01 * rows) * (slow > 0 ? 10 : 1), 0.3);
      slow -= slow > 0;
    }
    return job;
  };
  EXPECT_EQ(alarms(hiccups, growth_with_size), 0);
}

TEST(GrowthWithSize, IsSilentAboutAServerThatGetsSlowOnceTheBatchesAreLarge) {
  const auto busy_later = [](unsigned seed) {
    Job job(seed);
    for (int i = 0; i < 60; ++i) {
      const double rows = std::min(200 * std::pow(1.3, i), 10000.0);
      job.run(rows, (3 + 0.01 * rows) * (i < 30 ? 1 : 3), 0.2);
    }
    return job;
  };
  EXPECT_EQ(alarms(busy_later, growth_with_size), 0);
}

TEST(GrowthWithSize, IsTakenBackOnceTheIndexIsThere) {
  Job job = job_of(5, 60, 0.1, 500, 10000, quadratic);
  ASSERT_EQ(growth_with_size(job.samples()).kind, Growth::size);
  for (int i = 0; i < 8; ++i) job.run(8000, linear(8000, 0), 0.1);
  EXPECT_EQ(growth_with_size(job.samples()).kind, Growth::none);
}

const Cost growing = [](double rows, double position) { return 3 + 0.01 * rows * (1 + position / 200000); };

TEST(GrowthWithPosition, SeesAJobThatSlowsDownAsItGoesOn) {
  const Growth growth = growth_with_position(job_of(1, 100, 0.1, 5000, 6000, growing).samples());
  ASSERT_EQ(growth.kind, Growth::position);
  EXPECT_NEAR(growth.factor, 2.6, 0.5);
}

TEST(GrowthWithPosition, SeesItThroughHeavyNoise) {
  EXPECT_GT(alarms([](unsigned seed) { return job_of(seed, 180, 0.4, 5000, 6000, growing); }, growth_with_position),
            160);
}

TEST(GrowthWithPosition, SeesItAlthoughTheBatchesGetSmallerMeanwhile) {
  Job job(1);
  double rows = 10000;
  for (int i = 0; i < 190; ++i) {
    const double milliseconds = 0.01 * rows * (1 + job.position() / 20000);
    job.run(rows, milliseconds, 0.1);
    rows = std::clamp(std::floor(rows * 300 / milliseconds), rows / 2, rows * 2);
  }
  EXPECT_EQ(growth_with_position(job.samples()).kind, Growth::position);
  EXPECT_EQ(growth_with_size(job.samples()).kind, Growth::none);
}

TEST(GrowthWithPosition, IsSilentAboutASteadyJobHoweverNoisy) {
  for (const double noise : {0.05, 0.2, 0.5, 1.0}) {
    EXPECT_EQ(alarms([&](unsigned seed) { return job_of(seed, 180, noise, 5000, 6000, linear); }, growth_with_position),
              0)
        << noise;
  }
}

TEST(GrowthWithPosition, IsSilentAboutAWarmUpAndAboutAServerThatGetsBusyAllAtOnce) {
  const auto phases = [](double early, double late) {
    return [=](unsigned seed) {
      Job job(seed);
      for (int i = 0; i < 180; ++i) job.run(5000, 50 * (i < 60 ? early : late), 0.2);
      return job;
    };
  };
  EXPECT_EQ(alarms(phases(4, 1), growth_with_position), 0);
  EXPECT_EQ(alarms(phases(1, 3), growth_with_position), 0);
}

TEST(GrowthWithPosition, ComparesOnlyBatchesOfOneSize) {
  // A fixed cost makes small batches dear by the row; they come last.
  Job job(3);
  for (int i = 0; i < 60; ++i) job.run(10000, 60 + 0.001 * 10000, 0.1);
  for (int i = 0; i < 40; ++i) job.run(1000 - 15 * i, 60, 0.1);
  EXPECT_EQ(growth_with_position(job.samples()).kind, Growth::none);
}

TEST(GrowthWithPosition, IsTakenBackWhenTheLatestBatchesAreFastAgain) {
  Job job = job_of(5, 120, 0.1, 5000, 6000, growing);
  ASSERT_EQ(growth_with_position(job.samples()).kind, Growth::position);
  for (int i = 0; i < 8; ++i) job.run(5500, linear(5500, 0), 0.1);
  EXPECT_EQ(growth_with_position(job.samples()).kind, Growth::none);
}

TEST(FindGrowth, SaysTheGreaterOfTheTwo) {
  EXPECT_EQ(find_growth(job_of(1, 60, 0.1, 500, 10000, quadratic).samples()).kind, Growth::size);
  EXPECT_EQ(find_growth(job_of(1, 100, 0.1, 5000, 6000, growing).samples()).kind, Growth::position);
  EXPECT_EQ(find_growth(job_of(1, 100, 0.1, 500, 10000, linear).samples()).kind, Growth::none);
}

TEST(BatchHistory, KeepsTheLatestBatchesAndSomeOfAllThatThereWere) {
  BatchHistory history;
  for (int i = 0; i < 100000; ++i) history.add({1, 1, static_cast<double>(i)});
  const std::vector<BatchSample> samples = history.samples();
  EXPECT_LE(samples.size(), 192u);
  EXPECT_GE(samples.size(), 120u);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(samples[samples.size() - 1 - i].position, 99999 - i);
  double largest_gap = samples.front().position;
  for (size_t i = 1; i < samples.size(); ++i) {
    ASSERT_LT(samples[i - 1].position, samples[i].position);
    largest_gap = std::max(largest_gap, samples[i].position - samples[i - 1].position);
  }
  EXPECT_LE(largest_gap, 100000 / 64);
}

TEST(BatchHistory, HasEveryBatchOnceWhileThereAreFew) {
  BatchHistory history;
  for (int i = 0; i < 128; ++i) {
    EXPECT_EQ(history.samples().size(), static_cast<size_t>(i));
    history.add({1, 1, static_cast<double>(i)});
  }
}

}  // namespace
}  // namespace conveyor
