// Bytes of documents in memory. One budget for each target, so that a target that takes nothing can hold up nobody
// else; together they never exceed the process's limit, but for documents that are larger than a whole budget: those
// pass one at a time. Any thread.
#pragma once

#include <cstddef>
#include <mutex>

#include "decide/clock.hpp"

namespace conveyor {

class ByteBudget {
 public:
  explicit ByteBudget(std::size_t capacity) : capacity_(capacity) {}

  // Always succeeds while nothing is taken, so that work of any size goes on: while something that is larger than all
  // of it asks, nothing else gets anything.
  bool try_take(std::size_t bytes, Time now = Clock::now());
  void give(std::size_t bytes);
  void set_capacity(std::size_t capacity);
  std::size_t capacity() const;
  std::size_t used() const;

 private:
  mutable std::mutex mutex_;
  std::size_t capacity_, used_ = 0;
  Time kept_free_until_{};  // for something larger than all of it, which has asked of late
};

// A part of a budget that is given back by itself.
class Reservation {
 public:
  explicit Reservation(ByteBudget& budget) : budget_(&budget) {}
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  ~Reservation() { budget_->give(bytes_); }

  bool grow(std::size_t bytes) {
    if (!budget_->try_take(bytes)) return false;
    bytes_ += bytes;
    return true;
  }
  std::size_t bytes() const { return bytes_; }

 private:
  ByteBudget* budget_;
  std::size_t bytes_ = 0;
};

}  // namespace conveyor
