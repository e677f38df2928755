// What outer joins leave of the join graph: which rows are there for certain, and what holds where they are not.
#pragma once

#include "derive/graph.hpp"

namespace conveyor {

// The expression where everything on the nullable side of `join` is NULL, made simpler as far as that is easy.
Node* without_side(const Graph* graph, Node* expression, int join);

// It cannot be true; it is NULL.
bool is_never_true(const Node* expression);
bool is_null(const Node* expression);

// Outer joins whose nullable side must be there, because a condition or the document's key cannot do without, become
// inner ones: their number leaves all contexts.
void reduce_joins(Graph* graph);

// Two graphs for an outer join: in one its nullable side is there, in the other it is not. Of the latter NULL where no
// document can be so.
Graph* with_side_there(const Graph* graph, int join);
Graph* with_side_missing(const Graph* graph, int join);

// Outer joins that the key's being known depends on, or that keep conditions from being used.
Bitmapset* undecided_joins(const Graph* graph);

// What holds whenever a change of the followed row matters: nodes whose rows are there, conditions that are true.
struct Holding {
  Bitmapset* nodes;
  List* conditions;  // Condition *
};

Holding holding(const Graph* graph);

}  // namespace conveyor
