// The one place that says what an answer of a search server means (the table is in outcome.cpp).
#pragma once

#include <string_view>

#include "target/target.hpp"

namespace conveyor {

// Of one item of a bulk answer. `sole`: it was alone in its request, so that a refusal can only mean this document.
Outcome item_outcome(int status, std::string_view type, bool remove, bool sole);

// Of a whole request that was not answered item by item. `sole` as above.
Outcome request_outcome(int status, std::string_view type, bool sole);

// Whether the words of a 429 say that the operation is larger than all that the server ever lets be under way at once
// (indexing pressure: "… coordinating_operation_bytes=3000, max_coordinating_and_primary_bytes=2000]"). Waiting is of
// no use then: it is as good as a 413.
bool never_fits(std::string_view reason);

// Whether a request that was answered so may still be applied: a gateway that gave up waiting, or an answer that is
// none (2xx, but not item by item). Such a request counts as open (docs/internals.md, section 5).
bool applied_later(int status, std::string_view type);

// Whether an error that may pass speaks of shards or nodes: it is no document's fault then, however often it comes.
bool speaks_of_the_place(std::string_view type);

// done, superseded: nothing more to do for this document.
inline bool settled(Outcome outcome) { return outcome == Outcome::done || outcome == Outcome::superseded; }

// "retry", "dead letter", …: for logs.
std::string_view name(Outcome outcome);

}  // namespace conveyor
