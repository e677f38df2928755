#include "examine/plan_tree.hpp"

#include "analyse/walker.hpp"
#include "examine/index_advice.hpp"

#include <algorithm>

extern "C" {
#include "catalog/partition.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "optimizer/optimizer.h"
#include "optimizer/plancat.h"
}

namespace conveyor {

namespace {

// ---- The tree ----

struct Walk {
  PlanTree* tree;
  int parent;
};

bool is_join(const Plan* plan) { return IsA(plan, NestLoop) || IsA(plan, HashJoin) || IsA(plan, MergeJoin); }

const SubPlanState* subplan_of(List* subplans, const PlanState* child) {
  ListCell* cell;
  foreach (cell, subplans) {
    const auto* subplan = static_cast<SubPlanState*>(lfirst(cell));
    if (subplan->planstate == child) return subplan;
  }
  return nullptr;
}

TreeNode node_under(const PlanState* parent, PlanState* child, int number) {
  TreeNode node = {child, number, Place::member, 0};
  if (parent == nullptr) return node;
  if (const SubPlanState* init = subplan_of(parent->initPlan, child)) {
    node.place = Place::once;
    node.plan_id = init->subplan->plan_id;
  } else if (const SubPlanState* subplan = subplan_of(parent->subPlan, child)) {
    node.place = subplan->subplan->useHashTable ? Place::once : Place::subselect;
  } else if (is_join(parent->plan)) {
    const bool outer = child == outerPlanState(parent);
    node.place = outer ? Place::outer : IsA(parent->plan, NestLoop) ? Place::repeated : Place::inner;
  }
  return node;
}

bool is_known(const PlanTree* tree, const PlanState* state) {
  return std::any_of(tree->nodes, tree->nodes + tree->count, [&](const TreeNode& n) { return n.state == state; });
}

bool walk(PlanState* state, void* context) {
  auto* walk_of_parent = static_cast<Walk*>(context);
  PlanTree* tree = walk_of_parent->tree;
  const int parent = walk_of_parent->parent;
  const TreeNode node = node_under(parent < 0 ? nullptr : tree->nodes[parent].state, state, parent);
  // A sub-select may hang on several expressions.
  if ((node.place == Place::once || node.place == Place::subselect) && is_known(tree, state)) return false;
  if (tree->count == tree->room) {
    tree->room *= 2;
    tree->nodes = static_cast<TreeNode*>(repalloc(tree->nodes, tree->room * sizeof(TreeNode)));
  }
  Walk below = {tree, tree->count};
  tree->nodes[tree->count++] = node;
  return planstate_tree_walker(state, as_planstate_walker(walk), &below);
}

Index scanned(const Plan* plan) {
  switch (nodeTag(plan)) {
    case T_SeqScan:
    case T_SampleScan:
    case T_IndexScan:
    case T_IndexOnlyScan:
    case T_BitmapHeapScan:
    case T_TidScan:
    case T_TidRangeScan:
    case T_FunctionScan:
    case T_TableFuncScan:
    case T_ValuesScan:
    case T_CteScan:
    case T_NamedTuplestoreScan:
    case T_WorkTableScan:
    case T_ForeignScan:
      return reinterpret_cast<const Scan*>(plan)->scanrelid;
    default:
      return 0;
  }
}

const RangeTblEntry* entry_of(const PlanTree* tree, const Plan* plan) {
  const Index scanrelid = scanned(plan);
  return scanrelid == 0 ? nullptr : exec_rt_fetch(scanrelid, tree->estate);
}

uint64 shape_of(const PlanTree* tree) {
  uint64 shape = 0;
  for (int i = 0; i < tree->count; ++i) {
    const TreeNode& node = tree->nodes[i];
    const Plan* plan = node.state->plan;
    const RangeTblEntry* entry = entry_of(tree, plan);
    uint32 index = 0;
    if (IsA(plan, IndexScan)) index = reinterpret_cast<const IndexScan*>(plan)->indexid;
    if (IsA(plan, IndexOnlyScan)) index = reinterpret_cast<const IndexOnlyScan*>(plan)->indexid;
    if (IsA(plan, BitmapIndexScan)) index = reinterpret_cast<const BitmapIndexScan*>(plan)->indexid;
    const uint32 parts[] = {static_cast<uint32>(nodeTag(plan)), static_cast<uint32>(node.parent),
                            static_cast<uint32>(node.place), entry != nullptr ? entry->relid : 0, index};
    shape = hash_combine64(shape, hash_bytes_extended(reinterpret_cast<const unsigned char*>(parts), sizeof parts, 0));
  }
  return shape;
}

// ---- What a node is ----

const char* label_of(const Plan* plan) {
  switch (nodeTag(plan)) {
    case T_SeqScan:
      return "Seq Scan";
    case T_SampleScan:
      return "Sample Scan";
    case T_IndexScan:
      return "Index Scan";
    case T_IndexOnlyScan:
      return "Index Only Scan";
    case T_BitmapHeapScan:
      return "Bitmap Heap Scan";
    case T_TidScan:
      return "Tid Scan";
    case T_TidRangeScan:
      return "Tid Range Scan";
    case T_FunctionScan:
      return "Function Scan";
    case T_TableFuncScan:
      return "Table Function Scan";
    case T_ValuesScan:
      return "Values Scan";
    case T_CteScan:
      return "CTE Scan";
    case T_NamedTuplestoreScan:
      return "Named Tuplestore Scan";
    case T_WorkTableScan:
      return "WorkTable Scan";
    case T_ForeignScan:
      return "Foreign Scan";
    default:
      return "";
  }
}

// Parameters by which the server has inputs read anew, which are not of the outer row's.
int signal_of(const Plan* plan) {
  switch (nodeTag(plan)) {
    case T_ModifyTable:
      return reinterpret_cast<const ModifyTable*>(plan)->epqParam;
    case T_LockRows:
      return reinterpret_cast<const LockRows*>(plan)->epqParam;
    case T_Gather:
      return reinterpret_cast<const Gather*>(plan)->rescan_param;
    case T_GatherMerge:
      return reinterpret_cast<const GatherMerge*>(plan)->rescan_param;
    default:
      return -1;
  }
}

// What the node gives depends on the row of an outer side, or of the query that a sub-select is part of.
bool depends_on_outer(const PlanTree* tree, int i) {
  int parameters = bms_num_members(tree->nodes[i].state->plan->extParam);
  for (int above = tree->nodes[i].parent; above >= 0; above = tree->nodes[above].parent) {
    const int signal = signal_of(tree->nodes[above].state->plan);
    if (signal >= 0 && bms_is_member(signal, tree->nodes[i].state->plan->extParam)) --parameters;
  }
  return parameters > 0;
}

Reads reads_of(const PlanTree* tree, int i) {
  const Plan* plan = tree->nodes[i].state->plan;
  switch (nodeTag(plan)) {
    case T_SeqScan:
    case T_SampleScan:
    case T_CteScan:
    case T_NamedTuplestoreScan:
    case T_WorkTableScan:
      return Reads::everything;
    case T_FunctionScan:
    case T_TableFuncScan:
    case T_ValuesScan:
      return depends_on_outer(tree, i) ? Reads::chosen : Reads::everything;
    case T_IndexScan: {
      const auto* scan = reinterpret_cast<const IndexScan*>(plan);
      return scan->indexqual == NIL && scan->indexorderby == NIL ? Reads::everything : Reads::chosen;
    }
    case T_IndexOnlyScan: {
      const auto* scan = reinterpret_cast<const IndexOnlyScan*>(plan);
      return scan->indexqual == NIL && scan->indexorderby == NIL ? Reads::everything : Reads::chosen;
    }
    case T_BitmapHeapScan:
    case T_TidScan:
    case T_TidRangeScan:
    case T_ForeignScan:
      return Reads::chosen;
    default:
      return Reads::nothing;
  }
}

bool keeps_rows(const PlanTree* tree, int i) {
  switch (nodeTag(tree->nodes[i].state->plan)) {
    case T_Material:
    case T_Sort:
    case T_Hash:
      return !depends_on_outer(tree, i);
    default:
      return false;
  }
}

Oid root_of(Oid relation) {
  if (!get_rel_relispartition(relation)) return relation;
  List* ancestors = get_partition_ancestors(relation);
  return ancestors == NIL ? relation : llast_oid(ancestors);
}

// ---- What the planner expects ----

// Part of its input that a node is read of: behind a LIMIT, or all.
double wanted_share(const PlanTree* tree, int i) {
  const int parent = tree->nodes[i].parent;
  if (parent < 0) return 1;
  const Plan* above = tree->nodes[parent].state->plan;
  const double rows = tree->nodes[i].state->plan->plan_rows;
  if (!IsA(above, Limit) || rows <= 0) return 1;
  return std::min(1.0, above->plan_rows / rows);
}

// Rows that an index gives before the filter: the plan does not say, its cost does, roughly. Reading no more pages than
// there are leaves what is spent on rows.
double rows_behind_cost(const Plan* plan, double pages, double tuples) {
  const double cost = plan->total_cost;
  const double at_least = cost / (random_page_cost + cpu_tuple_cost + cpu_index_tuple_cost);
  const double in_memory =
      (cost - pages * random_page_cost) / (cpu_tuple_cost + cpu_index_tuple_cost + 2 * cpu_operator_cost);
  return std::min(tuples, std::max(at_least, in_memory));
}

double expected_read(const PlanTree* tree, const PlanNode* nodes, int i) {
  const PlanState* state = tree->nodes[i].state;
  const Plan* plan = state->plan;
  const double rows = plan->plan_rows;
  if (nodes[i].input >= 0) return tree->nodes[nodes[i].input].state->plan->plan_rows;
  if (IsA(plan, ValuesScan)) return list_length(reinterpret_cast<const ValuesScan*>(plan)->values_lists);
  const RangeTblEntry* entry = entry_of(tree, plan);
  if (entry == nullptr || entry->rtekind != RTE_RELATION) return rows;
  if (nodes[i].reads == Reads::chosen && plan->qual == NIL) return rows;

  if (IsA(plan, BitmapHeapScan)) return std::max(rows, outerPlan(plan)->plan_rows);

  const Relation relation = reinterpret_cast<const ScanState*>(state)->ss_currentRelation;
  if (relation == nullptr || !RELKIND_HAS_STORAGE(relation->rd_rel->relkind)) return rows;
  BlockNumber pages;
  double tuples;
  double all_visible;
  estimate_rel_size(relation, nullptr, &pages, &tuples, &all_visible);
  if (nodes[i].reads == Reads::everything) return std::max(rows, tuples * wanted_share(tree, i));
  return std::max(rows, rows_behind_cost(plan, pages, tuples));
}

// What a node that keeps rows keeps, if that comes from one place.
const PlanNode* kept(const PlanTree* tree, const PlanNode* nodes, int i) {
  int below = i;
  for (int j = i + 1; j < tree->count && tree->nodes[j].parent >= i; ++j) {
    if (tree->nodes[j].parent != below || tree->nodes[j].place != Place::member) return nullptr;
    below = j;
  }
  return below == i || nodes[below].relation.empty() ? nullptr : &nodes[below];
}

int root_of_cte(const PlanTree* tree, int plan_id) {
  for (int i = 0; i < tree->count; ++i) {
    if (tree->nodes[i].plan_id == plan_id) return i;
  }
  return -1;
}

PlanNode describe(const PlanTree* tree, int i, Oid source) {
  const TreeNode& at = tree->nodes[i];
  const Plan* plan = at.state->plan;
  PlanNode node;
  node.label = label_of(plan);
  node.parent = at.parent;
  node.place = at.place;
  node.reads = reads_of(tree, i);
  node.keeps = keeps_rows(tree, i);
  node.expected_rows = plan->plan_rows;
  if (IsA(plan, CteScan)) node.input = root_of_cte(tree, reinterpret_cast<const CteScan*>(plan)->ctePlanId);
  if (const RangeTblEntry* entry = entry_of(tree, plan)) {
    node.relation = entry_text(entry);
    node.advice = index_advice(tree, i);
    node.source = OidIsValid(source) && entry->rtekind == RTE_RELATION &&
                  (entry->relid == source || root_of(entry->relid) == source);
  }
  return node;
}

// ---- What a node has done ----

double seconds_of_running(const Instrumentation* instrument) {
  double seconds = INSTR_TIME_GET_DOUBLE(instrument->counter);
  if (!INSTR_TIME_IS_ZERO(instrument->starttime)) {
    instr_time now;
    INSTR_TIME_SET_CURRENT(now);
    INSTR_TIME_SUBTRACT(now, instrument->starttime);
    seconds += INSTR_TIME_GET_DOUBLE(now);
  }
  return seconds;
}

}  // namespace

const char* entry_text(const RangeTblEntry* entry) {
  if (entry->rtekind == RTE_RELATION) return relation_text(entry->relid);
  if (entry->rtekind == RTE_CTE) return quote_identifier(entry->ctename);
  if (entry->rtekind == RTE_NAMEDTUPLESTORE) return quote_identifier(entry->enrname);
  return entry->eref != nullptr ? quote_identifier(entry->eref->aliasname) : "";
}

PlanTree* plan_tree(const QueryDesc* query) {
  auto* tree = static_cast<PlanTree*>(palloc(sizeof(PlanTree)));
  constexpr int kRoom = 16;
  *tree = {query->estate, 0, kRoom, static_cast<TreeNode*>(palloc(kRoom * sizeof(TreeNode))), 0};
  Walk from_root = {tree, -1};
  walk(query->planstate, &from_root);
  tree->shape = shape_of(tree);
  return tree;
}

PlanNode* describe_plan(const PlanTree* tree, Oid source, bool estimates) {
  auto* nodes = static_cast<PlanNode*>(palloc(tree->count * sizeof(PlanNode)));
  for (int i = 0; i < tree->count; ++i) nodes[i] = describe(tree, i, source);
  for (int i = 0; i < tree->count; ++i) {
    PlanNode& node = nodes[i];
    if (estimates) node.expected_read = expected_read(tree, nodes, i);
    if (!IsA(tree->nodes[i].state->plan, Material)) continue;
    if (const PlanNode* below = kept(tree, nodes, i)) {
      node.reads = Reads::everything;
      node.label = below->label;
      node.relation = below->relation;
      node.advice = index_advice(tree, static_cast<int>(below - nodes));
    }
  }
  return nodes;
}

void add_work(const PlanTree* tree, NodeWork* work) {
  for (int i = 0; i < tree->count; ++i) {
    const Instrumentation* instrument = tree->nodes[i].state->instrument;
    if (instrument == nullptr) continue;
    const bool running = instrument->running || !INSTR_TIME_IS_ZERO(instrument->starttime);
    work[i].loops += instrument->nloops + (running ? 1 : 0);
    work[i].rows += instrument->ntuples + instrument->tuplecount;
    work[i].filtered += instrument->nfiltered1 + instrument->nfiltered2;
    work[i].milliseconds += 1000 * (instrument->total + seconds_of_running(instrument));
  }
}

const char* relation_text(Oid relation) {
  const Oid root = root_of(relation);
  const char* name = get_rel_name(root);
  if (name == nullptr) return "";
  if (get_rel_persistence(root) == RELPERSISTENCE_TEMP) return psprintf("pg_temp.%s", quote_identifier(name));
  return quote_qualified_identifier(get_namespace_name(get_rel_namespace(root)), name);
}

}  // namespace conveyor
