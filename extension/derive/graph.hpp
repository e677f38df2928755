// The join graph of a view as seen from one occurrence of a table: which rows stand together in what makes a document.
//
// Sub-selects are opened, so that all tables stand side by side: a column of a sub-select is what it is made by. Nodes
// are tables, functions in FROM and sub-selects that stay closed. Conditions are the parts of all WHERE and ON clauses
// that hold for rows that stand together.
//
// What may be missing is told by *contexts*: an outer join is a number, and everything on its nullable side, its ON
// clause included, has that number in its context. A condition is true of a document if its context is *live*, that is,
// if the nullable sides that it stands in are not filled up with NULLs. A sub-select in an expression is such a context
// too, and so is an aggregate without GROUP BY: the row outside is there whatever is inside.
#pragma once

#include "derive/tree.hpp"

namespace conveyor {

struct GraphNode {
  Block* block;
  Index entry;
  Bitmapset* context;
  List* expressions;  // of a function or VALUES, in terms of other nodes
  Bitmapset* needs;   // nodes that those read
  bool usable;        // it can stand in a key query
};

struct Condition {
  Node* expression;  // Var: varno is a node of the graph
  Bitmapset* nodes;  // that it is about
  Bitmapset* context;
  Bitmapset* referred;  // contexts of what it mentions
};

struct Join {
  Bitmapset* context;  // that the join itself stands in
  bool outer;          // an outer join, not a sub-select or an aggregate
};

struct Graph {
  const Tree* tree;
  const Occurrence* followed;
  int count;
  GraphNode* nodes;  // node 0 is the one that is followed
  List* conditions;  // Condition *
  int joins;
  Join* join;
  int blocks;
  Bitmapset** block_context;  // by Block::number
  int keys;
  Node** key;          // the document's key
  const char* hidden;  // why the key cannot be told; NULL: it can
  int tests;           // of IN and NOT IN in which NULLs decide as well as equal values
  bool impossible;     // one of them cannot be decided by NULLs
};

struct GraphOptions {
  bool close;    // sub-selects that aggregate or choose rows stay closed
  uint32 nulls;  // bit i: test i is decided by a NULL, else by equal values
};

Graph* make_graph(const Tree* tree, const Occurrence* followed, const AttrNumber* key, int keys, GraphOptions options);

// Fills in what a condition mentions.
void describe(const Graph* graph, Condition* condition);
Bitmapset* nodes_in(const Graph* graph, Node* expression);
Bitmapset* contexts_in(const Graph* graph, Node* expression);

// A column as such: without what wraps it. NULL: it is something else.
const Var* plain_column(Node* expression);

// Whether the table declares the column NOT NULL.
bool is_not_null(const Graph* graph, const Var* column);

// An equality by which either side may stand for the other in a join.
bool is_equality(Node* expression, Node** left, Node** right);

// Whether equal values have equal texts.
bool is_exact(Oid type, Oid collation);

}  // namespace conveyor
