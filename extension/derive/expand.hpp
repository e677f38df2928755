// One query out of a view: the views that it reads stand in it as sub-selects, and so does each use of a WITH query.
#pragma once

#include "compat.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace conveyor {

struct Expanded {
  Query* query;
  List* queries;  // Query *: the views' own queries, one for each place where a view stands
  List* owners;   // Oid, parallel to `queries`: which view's
};

// The relation is a view or a table; the caller holds a lock on it. WITH RECURSIVE stays as it is.
Expanded expand_view(Relation view);

// Entries of the range table that are read, by number; others are left over from rules and joins.
Bitmapset* entries_read(const Query* query);

}  // namespace conveyor
