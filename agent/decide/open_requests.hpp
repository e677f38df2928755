// Which versions may still be on their way to the target (docs/internals.md, section 5).
//
// A request is open from before it is sent until its answer is there. One that got no answer may still be applied later
// (a stopped server applies it on waking), so it stays open until `orphan_time` has passed. `least()` is what advance()
// and its kin take as settled_below: deletes in the ledger below it can no longer be undone by an older request. Not
// thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "decide/clock.hpp"

namespace conveyor {

class OpenRequests {
 public:
  using Id = std::uint64_t;

  explicit OpenRequests(Duration orphan_time) : orphan_time_(orphan_time) {}

  Id open(std::uint64_t version);
  // It was answered (whatever the answer), or it never left.
  void settle(Id id);
  // It got no answer: open until orphan_time from now, however often it is told.
  void unanswered(Id id, Time now);
  // Forgets those whose time has passed; returns how many.
  std::size_t expire(Time now);

  // The least version still open; nothing: no request is open.
  std::optional<std::uint64_t> least() const;
  std::size_t size() const { return requests_.size(); }
  bool empty() const { return requests_.empty(); }
  // When the next unanswered one can be forgotten.
  std::optional<Time> next_expiry() const;

  void set_orphan_time(Duration orphan_time) { orphan_time_ = orphan_time; }

 private:
  struct Request {
    std::uint64_t version;
    std::optional<Time> unanswered_at;
  };

  Duration orphan_time_;
  Id next_ = 1;
  std::map<Id, Request> requests_;
  std::multiset<std::uint64_t> versions_;
};

}  // namespace conveyor
