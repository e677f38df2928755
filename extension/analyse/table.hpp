// What must be true of a base table that documents are made of.
#pragma once

#include "compat.hpp"

namespace conveyor {

// Why changes of a relation cannot be captured, a clause that follows "it"; NULL: they can. Temporary, unlogged and
// foreign tables, those of the system, and materialized views.
const char* capture_obstacle(Oid relation);

// An error that names the table where its changes cannot be captured.
void require_capturable(Oid relation);

// The columns of the primary key in its order; 0 where there is none.
int primary_key(Oid relation, AttrNumber** columns);

}  // namespace conveyor
