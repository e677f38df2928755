// Which snapshots' documents may still be on their way to the target, over all pieces of work of a delivery under one
// lease. Any thread; answers that come after the lease's end still find it, because whoever sends shares it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>

#include "decide/open_requests.hpp"

namespace conveyor {

class Versions {
 public:
  using Id = OpenRequests::Id;

  // `start`: no read under this lease can be older.
  explicit Versions(std::uint64_t start) : latest_(start) {}

  // A read begins: its snapshot is not known yet, but cannot be older than any that is.
  Id begin_read() {
    std::lock_guard lock(mutex_);
    return open_.open(latest_);
  }
  Id open(std::uint64_t version) {
    std::lock_guard lock(mutex_);
    latest_ = std::max(latest_, version);
    return open_.open(version);
  }
  void settle(Id id) {
    std::lock_guard lock(mutex_);
    open_.settle(id);
  }
  void lost(std::uint64_t version, Time now) {
    std::lock_guard lock(mutex_);
    open_.lost(version, now);
  }
  // Has there been a request without an answer for so long?
  bool lost_for(Duration duration, Time now) const {
    std::lock_guard lock(mutex_);
    return open_.lost_since() && now - *open_.lost_since() >= duration;
  }
  // What checkpoints take as settled_below. With nothing open there is no bound: whatever is read from now on is as new
  // as any delete in the ledger.
  std::uint64_t settled_below() const {
    std::lock_guard lock(mutex_);
    return open_.least().value_or(INT64_MAX);
  }

 private:
  mutable std::mutex mutex_;
  OpenRequests open_;
  std::uint64_t latest_;
};

}  // namespace conveyor
