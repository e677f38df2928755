#include "run/budget.hpp"

namespace conveyor {

namespace {
// Whoever waits asks many times a second; who does not ask any more has gone.
constexpr auto turn = std::chrono::milliseconds(500);
}  // namespace

bool ByteBudget::try_take(std::size_t bytes, Time now) {
  std::lock_guard lock(mutex_);
  const bool large = bytes > capacity_;
  if (used_ > 0 && (large || used_ + bytes > capacity_ || now < kept_free_until_)) {
    if (large) kept_free_until_ = now + turn;
    return false;
  }
  if (large) kept_free_until_ = {};
  if (!large && now < kept_free_until_) return false;
  used_ += bytes;
  return true;
}

void ByteBudget::give(std::size_t bytes) {
  std::lock_guard lock(mutex_);
  used_ -= bytes;
}

void ByteBudget::set_capacity(std::size_t capacity) {
  std::lock_guard lock(mutex_);
  capacity_ = capacity;
}

std::size_t ByteBudget::capacity() const {
  std::lock_guard lock(mutex_);
  return capacity_;
}

std::size_t ByteBudget::used() const {
  std::lock_guard lock(mutex_);
  return used_;
}

}  // namespace conveyor
