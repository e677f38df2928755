// Which snapshots' documents may still be on their way to the target, over all pieces of work of a delivery under one
// lease. Any thread; answers that come after the lease's end still find it, because whoever sends shares it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <optional>

#include "decide/open_requests.hpp"

namespace conveyor {

class Versions {
 public:
  using Id = OpenRequests::Id;

  // `start`: no read under this lease can be older.
  Versions(Duration orphan_time, std::uint64_t start) : open_(orphan_time), orphan_time_(orphan_time), latest_(start) {}

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
  void unanswered(Id id, Time now) {
    std::lock_guard lock(mutex_);
    open_.unanswered(id, now);
    if (!unanswered_since_) unanswered_since_ = now;
  }
  // Forgets requests that were never answered, after orphan_time.
  void expire(Time now) {
    std::lock_guard lock(mutex_);
    open_.expire(now);
    if (!open_.next_expiry()) unanswered_since_.reset();
  }
  // True when some request has had no answer for so long, or for half of orphan_time where that is less (then it would
  // expire). What it may undo is mended by the lease after this one: only of a lease that ended does the database hand
  // out the deletes again.
  bool unanswered_for(Duration duration, Time now) const {
    std::lock_guard lock(mutex_);
    return unanswered_since_ && now - *unanswered_since_ >= std::min(duration, orphan_time_ / 2);
  }
  // What checkpoints take as settled_below. With nothing open there is no bound: whatever is read from now on is as new
  // as any delete in the ledger.
  std::uint64_t settled_below() const {
    std::lock_guard lock(mutex_);
    return open_.least().value_or(INT64_MAX);
  }
  void set_orphan_time(Duration orphan_time) {
    std::lock_guard lock(mutex_);
    open_.set_orphan_time(orphan_time);
    orphan_time_ = orphan_time;
  }

 private:
  mutable std::mutex mutex_;
  OpenRequests open_;
  Duration orphan_time_;
  std::optional<Time> unanswered_since_;
  std::uint64_t latest_;
};

}  // namespace conveyor
