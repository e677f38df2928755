// Which index would spare a node from reading what it throws away.
#pragma once

#include "examine/plan_tree.hpp"

namespace conveyor {

// The command that makes it, in the current context; empty where nothing compares the node's rows by equality. The
// columns (or expressions) are those that the node's filter, or the join above it, compares with something from
// outside.
const char* index_advice(const PlanTree* tree, int node);

}  // namespace conveyor
