// Expressions of a view in terms of its join graph: a column of a sub-select is what it is made by.
#pragma once

#include "derive/graph.hpp"

namespace conveyor {

// What an expression stands in while it is being rewritten.
struct Expressing {
  Graph* graph;
  Block* at;
  Block* subselect;     // of a test: whose columns its parameters are
  const char* failure;  // why it cannot be expressed, a clause about "it"; NULL: it can
};

// A mutator: Var of the result have a node of the graph for varno.
Node* express(Node* node, void* expressing);

// A column of a block's result.
Node* output(Expressing* outer, Block* block, AttrNumber column);

// The branch of a set operation in which the followed occurrence stands; NULL: it does not.
Block* branch_on_path(const Block* block);

// One of several equal values with different texts is in it. A walker.
bool has_inexact(Node* node, void* nothing);

// Equal values behave alike where they are compared as a whole; NULL where they are used otherwise.
Node* without_inexact(Node* expression);

}  // namespace conveyor
