// What a view's query reads, and where: its query blocks, the base tables in them with the columns that matter, and
// what in it cannot be followed.
//
// A block is a SELECT: the view's own, a view's inside it, a sub-select in FROM or in an expression, a branch of a
// UNION. Only what is used counts: a column of an inner view that nobody asks for brings in neither its columns nor its
// sub-selects.
#pragma once

#include "derive/expand.hpp"

extern "C" {
#include "nodes/primnodes.h"
}

namespace conveyor {

struct Block {
  Query* query;
  Block* parent;       // NULL: of the view itself
  int number;          // place in Tree::blocks
  Oid view;            // whose definition it stands in
  bool of_view;        // it is that view's own query
  Block** child;       // by entry of the range table: sub-selects in FROM and branches of set operations
  List* subselects;    // Subselect *: those in expressions
  Bitmapset* outputs;  // columns of it that are used

  // Of the occurrence that is being followed:
  bool on_path;  // stands in it, at any depth
  int* node;     // by entry: the node in the join graph, -1: none
};

struct Subselect {
  const SubLink* link;
  Block* block;
};

// A place where a base table stands.
struct Occurrence {
  Block* block;
  Index entry;
  Oid relation;
  Bitmapset* columns;  // that are used, by number
  bool whole;          // the row is used as a whole
};

// Something that cannot be followed, unless someone says that it does not matter.
struct Problem {
  const char* object;  // as people write it, for the option "ignore"
  Oid relation;        // InvalidOid: it is no relation
  Oid function;        // InvalidOid: it is no function
  const char* place;   // the WHERE clause of view shop.recent
  const char* reason;  // a clause that follows "it"
};

struct Tree {
  Block* top;
  List* blocks;       // Block *
  List* occurrences;  // Occurrence *
  List* problems;     // Problem *
};

Tree* read_tree(Relation view);

void add_problem(Tree* tree, const Problem& problem);

// The occurrence at that entry; NULL for other entries.
Occurrence* occurrence_at(const Tree* tree, const Block* block, Index entry);

// The block that stands in that sub-select expression; NULL where nobody uses it.
Block* block_of(const Block* block, const SubLink* link);

// Where a block stands, for people: view shop.orders, a sub-select in view shop.orders.
const char* place_of(const Block* block);

// What a column of a block's result is made by; NULL where it is a branch's of a set operation.
TargetEntry* output_entry(const Block* block, AttrNumber column);

// UNION ALL alone keeps every row as it is.
bool merges_rows(const Query* query);

}  // namespace conveyor
