// The nodes of a started query, and what they have done.
#pragma once

#include "compat.hpp"
#include "examine/plan_model.hpp"

extern "C" {
#include "executor/execdesc.h"
#include "nodes/execnodes.h"
}

namespace conveyor {

struct TreeNode {
  PlanState* state;
  int parent;  // -1: the root
  Place place;
  int plan_id;  // of an initplan or CTE, else 0
};

struct PlanTree {
  EState* estate;
  int count;
  int room;
  TreeNode* nodes;  // as EXPLAIN shows them: parents first
  uint64 shape;     // equal for plans that do the same
};

// In the current context; lives no longer than the query.
PlanTree* plan_tree(const QueryDesc* query);

// As many nodes as the tree has, with their texts, in the current context. `source`: the job's, or none. With
// `estimates`, what the planner expects to be read is estimated too.
PlanNode* describe_plan(const PlanTree* tree, Oid source, bool estimates);

// Adds what an instrumented query has done until now, its running nodes included. Neither allocates nor fails, so that
// it may be called while an error is on its way.
void add_work(const PlanTree* tree, NodeWork* work);

// How SQL names a relation from anywhere, a partition by its root; and what else stands in a range table. In the
// current context.
const char* relation_text(Oid relation);
const char* entry_text(const RangeTblEntry* entry);

}  // namespace conveyor
