#include "run/lane.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace conveyor {

void Lane::configure(const DeliverySpec& spec, Time now) {
  std::lock_guard lock(mutex_);
  limits_.batch_bytes = spec.batch_bytes;
  limits_.in_flight = spec.in_flight;
  limits_.retry_delay = spec.retry_delay;
  limits_.max_retry_delay = std::max(spec.max_retry_delay, spec.retry_delay);
  limits_.max_attempts = spec.max_attempts;
  limits_.rated = spec.rate > 0;
  limits_.dead_letters = spec.dead_letters > 0;
  bucket_.set_rate(spec.rate, now);
  // A rate is kept in steps of a quarter of a second, and no more is read than it lets through in some seconds.
  const auto step = [&](double per, double most) {
    return spec.rate > 0 ? std::clamp(spec.rate * per, 1.0, most) : most;
  };
  limits_.most_items = static_cast<std::size_t>(step(0.25, 10'000));
  limits_.page_keys = static_cast<int>(step(4, 1000));
  destination_.options = spec.options;
}

Limits Lane::limits() const {
  std::lock_guard lock(mutex_);
  Limits current = limits_;
  current.dead_letters = current.dead_letters || progress.dead > 0;
  return current;
}

Destination Lane::destination() const {
  std::lock_guard lock(mutex_);
  return destination_;
}

void Lane::set_destination(Destination prepared) {
  std::lock_guard lock(mutex_);
  destination_ = std::move(prepared);
}

std::string Lane::cursor() const {
  std::lock_guard lock(mutex_);
  return cursor_;
}

void Lane::advance(const std::string& until, const Checkpoint& checkpoint) {
  store.advance(until, checkpoint);
  if (until.empty()) return;
  std::lock_guard lock(mutex_);
  cursor_ = until;
}

Duration Lane::take_rate(std::size_t documents, Time now) {
  std::lock_guard lock(mutex_);
  const Duration wait = bucket_.wait(now);
  if (wait > Duration::zero()) {
    rated_ = true;
    rated_at_ = now;
    return wait;
  }
  bucket_.take(static_cast<double>(documents), now);
  return Duration::zero();
}

void Lane::set_waiting(std::string reason) {
  std::lock_guard lock(mutex_);
  waiting_ = std::move(reason);
}

std::string Lane::throttle() const {
  if (std::string condition = target.condition(); !condition.empty()) return "target: " + condition;
  std::lock_guard lock(mutex_);
  if (!waiting_.empty()) return waiting_;
  if (!errors_.empty()) return "waits after an error: " + errors_.begin()->second;
  if (rated_ && bucket_.rate() > 0 && Clock::now() - rated_at_ < std::chrono::seconds(2))
    return fmt::format("rate: limited to {:g} documents/s", bucket_.rate());
  return {};
}

void Lane::set_error(const std::string& doing, std::string error) {
  std::lock_guard lock(mutex_);
  if (error.empty())
    errors_.erase(doing);
  else
    errors_[doing] = std::move(error);
}

std::string Lane::last_error() const {
  std::lock_guard lock(mutex_);
  return errors_.empty() ? std::string() : errors_.begin()->second;
}

}  // namespace conveyor
