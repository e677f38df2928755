// Which versions may still be on their way to the target (docs/internals.md, section 5).
//
// A request is open from before it is sent until its answer is there. One that got no answer may still be applied later
// (a stopped server applies it on waking), so it stays open for as long as the lease lasts: what it may undo is mended
// by the lease after this one, since only of a lease that ended does the database hand out the deletes again.
// `least()` is what advance() and its kin take as settled_below: deletes in the ledger below it can no longer be undone
// by an older request. Not thread-safe.
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

  Id open(std::uint64_t version);
  // It was answered (whatever the answer), or it never left.
  void settle(Id id);
  // A request of this version, whoever has it open, got no answer.
  void lost(std::uint64_t version, Time now);

  // The least version still open; nothing: no request is open.
  std::optional<std::uint64_t> least() const;
  // Since when there has been one without an answer.
  std::optional<Time> lost_since() const { return lost_since_; }
  std::size_t size() const { return requests_.size(); }

 private:
  Id next_ = 1;
  std::map<Id, std::uint64_t> requests_;
  std::multiset<std::uint64_t> versions_;
  std::optional<std::uint64_t> least_lost_;
  std::optional<Time> lost_since_;
};

}  // namespace conveyor
