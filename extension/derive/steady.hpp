// Which functions give the same result as long as no row changes, so that a document cannot change unseen.
//
// IMMUTABLE ones do. STABLE ones of the server's own do where all that they depend on beside their arguments are
// settings that a fetch pins (time zone, styles of output): these are listed. All others may follow the clock, the
// session or tables that nobody watches.
#pragma once

#include "compat.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace conveyor {

struct Unsteady {
  Oid function;        // InvalidOid: `name` is no function but a word of SQL, such as CURRENT_DATE
  const char* name;    // as people write it: now(), shop.rate(integer)
  const char* reason;  // a clause that follows "it": is STABLE, follows the clock
};

// The first function that the node itself, without what is below it, calls and that is not steady; false where none is.
bool find_unsteady(Node* node, Unsteady* found);

}  // namespace conveyor
