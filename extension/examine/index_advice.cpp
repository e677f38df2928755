#include "examine/index_advice.hpp"

#include "analyse/walker.hpp"

extern "C" {
#include "catalog/pg_index.h"
#include "nodes/makefuncs.h"
#include "nodes/plannodes.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
}

namespace conveyor {

namespace {

constexpr int kColumns = 4;  // of an index; more is not better

// The way from the node up to the join whose conditions are looked at.
struct Path {
  const PlanTree* tree;
  int scan;
  Index entry;     // the scan's in the range table
  List* compared;  // Node *: what is compared with something that differs from row to row
  List* fixed;     // Node *: what is compared with constants
};

const Plan* plan_at(const Path* path, int node) { return path->tree->nodes[node].state->plan; }

// ---- What an expression is about ----

struct Contents {
  Index entry;
  bool own;      // columns of the scan
  bool outside;  // anything that differs from row to row and is not of the scan
};

bool look(Node* node, void* context) {
  if (node == nullptr) return false;
  auto* contents = static_cast<Contents*>(context);
  if (IsA(node, Var)) {
    const auto* var = reinterpret_cast<const Var*>(node);
    (static_cast<Index>(var->varno) == contents->entry && var->varattno > 0 ? contents->own : contents->outside) = true;
    return false;
  }
  if (IsA(node, Param) || IsA(node, SubPlan) || IsA(node, Aggref) || IsA(node, WindowFunc)) {
    contents->outside = true;
    return false;
  }
  return expression_tree_walker(node, as_walker(look), context);
}

Contents contents_of(const Path* path, Node* node) {
  Contents contents = {path->entry, false, false};
  look(node, &contents);
  return contents;
}

// ---- Expressions of a join in terms of the scan's columns ----

struct Level {
  const Path* path;
  int node;   // that the expression stands in
  int below;  // the node under it on the way to the scan
};

Node* at_scan(Node* node, void* context);

Node* of_target(const Path* path, int node, AttrNumber number, Node* otherwise) {
  const TargetEntry* target = get_tle_by_resno(plan_at(path, node)->targetlist, number);
  if (target == nullptr) return otherwise;
  int below = path->scan;
  while (below != node && path->tree->nodes[below].parent != node) below = path->tree->nodes[below].parent;
  Level level = {path, node, below};
  return at_scan(reinterpret_cast<Node*>(target->expr), &level);
}

Node* at_scan(Node* node, void* context) {
  if (node == nullptr) return nullptr;
  if (!IsA(node, Var)) return expression_tree_mutator(node, as_mutator(at_scan), context);
  const auto* level = static_cast<Level*>(context);
  const Path* path = level->path;
  const auto* var = reinterpret_cast<const Var*>(node);
  const Plan* plan = plan_at(path, level->node);
  if (level->node == path->scan) {
    if (var->varno != INDEX_VAR || !IsA(plan, IndexOnlyScan)) return node;
    const TargetEntry* column =
        get_tle_by_resno(reinterpret_cast<const IndexOnlyScan*>(plan)->indextlist, var->varattno);
    return column != nullptr ? reinterpret_cast<Node*>(column->expr) : node;
  }
  const Place place = path->tree->nodes[level->below].place;
  const bool inner = place == Place::inner || place == Place::repeated;
  const bool leads_down = IsA(plan, SubqueryScan)
                              ? static_cast<Index>(var->varno) == reinterpret_cast<const Scan*>(plan)->scanrelid
                              : var->varno == (inner ? INNER_VAR : OUTER_VAR);
  return leads_down ? of_target(path, level->below, var->varattno, node) : node;
}

// ---- Conditions ----

void note_sides(Path* path, Oid equality, Node* left, Node* right) {
  if (!op_mergejoinable(equality, exprType(left))) return;
  for (int turn = 0; turn < 2; ++turn) {
    Node* own = turn == 0 ? left : right;
    Node* other = turn == 0 ? right : left;
    const Contents own_contents = contents_of(path, own);
    const Contents other_contents = contents_of(path, other);
    if (!own_contents.own || own_contents.outside || other_contents.own || contain_mutable_functions(own)) continue;
    List** list = other_contents.outside ? &path->compared : &path->fixed;
    while (IsA(own, RelabelType)) own = reinterpret_cast<Node*>(reinterpret_cast<RelabelType*>(own)->arg);
    *list = list_append_unique(*list, own);
  }
}

void note_conditions(Path* path, List* conditions, int node, int below) {
  ListCell* cell;
  foreach (cell, conditions) {
    auto* condition = static_cast<Node*>(lfirst(cell));
    Level level = {path, node, below};
    condition = at_scan(condition, &level);
    if (is_opclause(condition)) {
      const auto* clause = reinterpret_cast<const OpExpr*>(condition);
      if (list_length(clause->args) != 2) continue;
      note_sides(path, clause->opno, static_cast<Node*>(linitial(clause->args)),
                 static_cast<Node*>(lsecond(clause->args)));
    } else if (IsA(condition, ScalarArrayOpExpr)) {
      const auto* clause = reinterpret_cast<const ScalarArrayOpExpr*>(condition);
      if (!clause->useOr) continue;
      note_sides(path, clause->opno, static_cast<Node*>(linitial(clause->args)),
                 static_cast<Node*>(lsecond(clause->args)));
    }
  }
}

void note_own_conditions(Path* path) {
  const Plan* plan = plan_at(path, path->scan);
  List* conditions = plan->qual;
  if (IsA(plan, IndexScan))
    conditions = list_concat_copy(reinterpret_cast<const IndexScan*>(plan)->indexqualorig, conditions);
  if (IsA(plan, BitmapHeapScan))
    conditions = list_concat_copy(reinterpret_cast<const BitmapHeapScan*>(plan)->bitmapqualorig, conditions);
  note_conditions(path, conditions, path->scan, path->scan);
}

// Of the nearest join that compares columns of the scan, if the scan's rows reach it as they are.
void note_join_conditions(Path* path) {
  int below = path->scan;
  for (int node = path->tree->nodes[below].parent; node >= 0; below = node, node = path->tree->nodes[node].parent) {
    const Place place = path->tree->nodes[below].place;
    if (place == Place::subselect || place == Place::once) return;
    const Plan* plan = plan_at(path, node);
    if (IsA(plan, Agg) || IsA(plan, Group) || IsA(plan, WindowAgg)) return;
    if (IsA(plan, HashJoin)) note_conditions(path, reinterpret_cast<const HashJoin*>(plan)->hashclauses, node, below);
    if (IsA(plan, MergeJoin))
      note_conditions(path, reinterpret_cast<const MergeJoin*>(plan)->mergeclauses, node, below);
    if (IsA(plan, HashJoin) || IsA(plan, MergeJoin) || IsA(plan, NestLoop)) {
      note_conditions(path, reinterpret_cast<const Join*>(plan)->joinqual, node, below);
      note_conditions(path, plan->qual, node, below);
    }
    if (path->compared != NIL) return;
  }
}

// ---- The index ----

bool is_column(const Node* node) { return IsA(node, Var); }

// Whether a plain index begins with these columns, in any order.
bool is_indexed(Relation relation, List* columns) {
  ListCell* cell;
  foreach (cell, columns) {
    if (!is_column(static_cast<Node*>(lfirst(cell)))) return false;
  }
  List* indexes = RelationGetIndexList(relation);
  foreach (cell, indexes) {
    HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));
    if (!HeapTupleIsValid(tuple)) continue;
    const auto* index = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
    int found = 0;
    if (index->indisvalid && heap_attisnull(tuple, Anum_pg_index_indpred, nullptr)) {
      ListCell* column;
      foreach (column, columns) {
        for (int i = 0; i < Min(index->indnkeyatts, list_length(columns)); ++i) {
          found += index->indkey.values[i] == static_cast<Var*>(lfirst(column))->varattno;
        }
      }
    }
    ReleaseSysCache(tuple);
    if (found == list_length(columns)) return true;
  }
  return false;
}

const char* column_text(const Path* path, Oid relation, Node* column) {
  if (is_column(column))
    return quote_identifier(get_attname(relation, reinterpret_cast<const Var*>(column)->varattno, false));
  auto* expression = static_cast<Node*>(copyObjectImpl(column));
  ChangeVarNodes(expression, static_cast<int>(path->entry), 1, 0);
  List* names = deparse_context_for(get_rel_name(relation), relation);
  return psprintf("(%s)", deparse_expression(expression, names, false, false));
}

const char* columns_text(const Path* path, Oid relation, List* columns) {
  StringInfoData text;
  initStringInfo(&text);
  ListCell* cell;
  foreach (cell, columns) {
    appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "",
                     column_text(path, relation, static_cast<Node*>(lfirst(cell))));
  }
  return text.data;
}

}  // namespace

const char* index_advice(const PlanTree* tree, int node) {
  const PlanState* state = tree->nodes[node].state;
  const Index entry = reinterpret_cast<const Scan*>(state->plan)->scanrelid;
  const RangeTblEntry* table = exec_rt_fetch(entry, tree->estate);
  if (table->rtekind != RTE_RELATION) {
    if (table->rtekind == RTE_VALUES) return "";
    return psprintf("a temporary table with an index could stand for %s", entry_text(table));
  }
  const Relation relation = reinterpret_cast<const ScanState*>(state)->ss_currentRelation;
  if (relation == nullptr || relation->rd_rel->relkind == RELKIND_FOREIGN_TABLE) return "";

  Path path = {tree, node, entry, NIL, NIL};
  note_own_conditions(&path);
  if (path.compared == NIL) note_join_conditions(&path);
  List* columns = list_truncate(path.compared != NIL ? path.compared : path.fixed, kColumns);
  if (columns == NIL) return "";

  const char* name = relation_text(table->relid);
  if (is_indexed(relation, columns)) return psprintf("ANALYZE %s", name);
  const bool beside_writers =
      relation->rd_rel->relpersistence != RELPERSISTENCE_TEMP && !relation->rd_rel->relispartition;
  return psprintf("CREATE INDEX %sON %s (%s)", beside_writers ? "CONCURRENTLY " : "", name,
                  columns_text(&path, table->relid, columns));
}

}  // namespace conveyor
