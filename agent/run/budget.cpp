#include "run/budget.hpp"

namespace conveyor {

bool ByteBudget::try_take(std::size_t bytes) {
  std::lock_guard lock(mutex_);
  if (used_ > 0 && used_ + bytes > capacity_) return false;
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
