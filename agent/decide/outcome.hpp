// The one place that says what an answer of a search server means (the table is in outcome.cpp).
#pragma once

#include <string_view>

#include "target/target.hpp"

namespace conveyor {

// Of one item of a bulk answer. `sole`: it was alone in its request, so that a refusal can only mean this document.
Outcome item_outcome(int status, std::string_view type, bool remove, bool sole);

// Of a whole request that was not answered item by item. `sole` as above.
Outcome request_outcome(int status, std::string_view type, bool sole);

// Whether a request that was answered so may still be applied: a gateway that gave up waiting, or an answer that is
// none (2xx, but not item by item). Such a request counts as open (docs/internals.md, section 5).
bool applied_later(int status, std::string_view type);

// done, superseded: nothing more to do for this document.
bool speaks_of_the_place(std::string_view type);

inline bool settled(Outcome outcome) { return outcome == Outcome::done || outcome == Outcome::superseded; }

// "retry", "dead letter", …: for logs.
std::string_view name(Outcome outcome);

}  // namespace conveyor
