// What a view reads, and where its columns come from.
//
// An occurrence is a place in the view's query where a base table stands; a table that is joined twice has two. Views
// in views and sub-selects in FROM are followed; what a function reads cannot be seen.
#pragma once

#include "compat.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace conveyor {

struct Occurrence {
  Oid relation;
  const char* path;  // tells occurrences apart
};

// Where one column of the view comes from, if it is nothing but a column of a table.
struct Origin {
  const char* path;  // of the occurrence; NULL: the column is an expression
  Oid relation;
  AttrNumber column;
};

struct ViewAnalysis {
  Oid view;
  List* relations;    // Oid: every base table, each once, in the order of their appearance
  List* occurrences;  // Occurrence *: those of FROM, leftmost first
  int columns;
  Origin* origin;  // by column of the view, dropped ones included
};

// The relation is a view or a table; the caller holds a lock on it.
ViewAnalysis analyse_view(Relation view);

}  // namespace conveyor
