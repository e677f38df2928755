// The pieces of work of a delivery. Each ends in one of the calls of docs/internals.md, section 3, which is its
// checkpoint; a piece that throws has recorded nothing that it had not finished.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "run/carrier.hpp"
#include "run/lane.hpp"

namespace conveyor {

struct Drained {
  std::int64_t keys = 0;
  std::string until;   // the window's end
  bool moved = false;  // the cursor stands there now
  bool stale = false;  // a signal was met: the delivery has been marked
};

// One window, from the lane's cursor to a new snapshot; documents come over at most so many connections at once. One
// that touches no document moves the cursor only if `move_anyway`, so that an idle delivery writes nothing.
Drained drain_window(Lane& lane, int fetchers, bool move_anyway);

// One range of a request; returns the request's new phase. `has_read` is called when its documents have been read and
// only the target's answers are waited for: by then the next range can be read.
std::string fill_range(Lane& lane, std::int64_t request, const Range& range, const std::function<void()>& has_read);

// The same of a `compare` request: which keys of the range does the target lack? Those are delivered. Throws Held where
// the target took a document and does not have it.
std::string compare_range(Lane& lane, std::int64_t request, const Range& range);

// What the target has and the view has not, goes there too; ends the request.
void sweep(Lane& lane, const Request& request);

// The next keys of a `keys` request. False when there are no more.
bool deliver_requested(Lane& lane, const Request& request, std::int64_t& after);

// Deletes that requests of a sender that is gone may have undone. False when there are no more.
bool settle_orphans(Lane& lane);

}  // namespace conveyor
