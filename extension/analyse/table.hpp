// What must be true of a base table that documents are made of.
#pragma once

#include "compat.hpp"

namespace conveyor {

// An error that names the table where its changes cannot be captured: temporary, unlogged, foreign, of the system, a
// materialized view.
void require_capturable(Oid relation);

// The columns of the primary key in its order; 0 where there is none.
int primary_key(Oid relation, AttrNumber** columns);

}  // namespace conveyor
