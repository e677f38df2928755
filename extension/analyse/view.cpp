#include "analyse/view.hpp"

#include "analyse/walker.hpp"

extern "C" {
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
}

namespace conveyor {

namespace {

struct Walk {
  ViewAnalysis* analysis;
  Oid view;  // whose query is being walked
};

const Query* view_query(Oid view) {
  Relation relation = table_open(view, AccessShareLock);
  const Query* query = static_cast<Query*>(copyObjectImpl(get_view_query(relation)));
  table_close(relation, NoLock);
  return query;
}

bool is_view(Oid relation) { return get_rel_relkind(relation) == RELKIND_VIEW; }

// Every relation that is read anywhere.

bool collect(Node* node, void* context) {
  if (node == nullptr) return false;
  Walk* walk = static_cast<Walk*>(context);
  if (IsA(node, RangeTblEntry)) {
    RangeTblEntry* entry = reinterpret_cast<RangeTblEntry*>(node);
    // A view's stored query may list the view itself, as OLD and NEW of its rule: nothing is read through those.
    if (entry->rtekind != RTE_RELATION || entry->relid == walk->view) return false;
    if (is_view(entry->relid)) {
      check_stack_depth();
      Walk inner = {walk->analysis, entry->relid};
      return collect(reinterpret_cast<Node*>(const_cast<Query*>(view_query(entry->relid))), &inner);
    }
    walk->analysis->relations = list_append_unique_oid(walk->analysis->relations, entry->relid);
    return false;
  }
  if (IsA(node, Query))
    return query_tree_walker(reinterpret_cast<Query*>(node), as_walker(collect), context, QTW_EXAMINE_RTES_BEFORE);
  return expression_tree_walker(node, as_walker(collect), context);
}

// Base tables of FROM, leftmost first.

void list_occurrences(ViewAnalysis* analysis, const Query* query, const char* path);

void list_entry(ViewAnalysis* analysis, const Query* query, int index, const char* path) {
  RangeTblEntry* entry = rt_fetch(index, query->rtable);
  const char* here = psprintf("%s/%d", path, index);
  if (entry->rtekind == RTE_SUBQUERY) {
    list_occurrences(analysis, entry->subquery, here);
  } else if (entry->rtekind == RTE_RELATION && is_view(entry->relid)) {
    list_occurrences(analysis, view_query(entry->relid), here);
  } else if (entry->rtekind == RTE_RELATION) {
    Occurrence* occurrence = static_cast<Occurrence*>(palloc(sizeof(Occurrence)));
    *occurrence = {entry->relid, here};
    analysis->occurrences = lappend(analysis->occurrences, occurrence);
  }
}

void list_from(ViewAnalysis* analysis, const Query* query, Node* node, const char* path) {
  if (IsA(node, RangeTblRef)) {
    list_entry(analysis, query, reinterpret_cast<RangeTblRef*>(node)->rtindex, path);
  } else if (IsA(node, JoinExpr)) {
    list_from(analysis, query, reinterpret_cast<JoinExpr*>(node)->larg, path);
    list_from(analysis, query, reinterpret_cast<JoinExpr*>(node)->rarg, path);
  }
}

void list_occurrences(ViewAnalysis* analysis, const Query* query, const char* path) {
  check_stack_depth();
  if (query->setOperations != nullptr) return;  // a column of a UNION comes from several tables
  ListCell* cell;
  foreach (cell, query->jointree->fromlist) list_from(analysis, query, static_cast<Node*>(lfirst(cell)), path);
}

// Where a column comes from.

Origin trace(const Query* query, AttrNumber column, const char* path);

Origin trace_expression(const Query* query, Node* node, const char* path) {
  if (node == nullptr || !IsA(node, Var)) return {};
  const Var* var = reinterpret_cast<Var*>(node);
  if (var->varlevelsup != 0 || var->varattno <= 0) return {};
  RangeTblEntry* entry = rt_fetch(var->varno, query->rtable);
  const char* here = psprintf("%s/%d", path, var->varno);
  switch (entry->rtekind) {
    case RTE_RELATION:
      if (is_view(entry->relid)) return trace(view_query(entry->relid), var->varattno, here);
      return {here, entry->relid, var->varattno};
    case RTE_SUBQUERY:
      return trace(entry->subquery, var->varattno, here);
    default:
      if (List* expressions = compat::entry_expressions(entry); expressions != NIL)
        return trace_expression(query, static_cast<Node*>(list_nth(expressions, var->varattno - 1)), path);
      return {};
  }
}

Origin trace(const Query* query, AttrNumber column, const char* path) {
  check_stack_depth();
  if (query->setOperations != nullptr) return {};
  ListCell* cell;
  foreach (cell, query->targetList) {
    TargetEntry* target = lfirst_node(TargetEntry, cell);
    if (!target->resjunk && target->resno == column)
      return trace_expression(query, reinterpret_cast<Node*>(target->expr), path);
  }
  return {};
}

}  // namespace

ViewAnalysis analyse_view(Relation view) {
  ViewAnalysis analysis = {};
  analysis.view = RelationGetRelid(view);
  analysis.columns = RelationGetNumberOfAttributes(view);
  analysis.origin = static_cast<Origin*>(palloc0(sizeof(Origin) * (analysis.columns + 1)));
  if (view->rd_rel->relkind != RELKIND_VIEW) {
    Occurrence* occurrence = static_cast<Occurrence*>(palloc(sizeof(Occurrence)));
    *occurrence = {analysis.view, ""};
    analysis.occurrences = list_make1(occurrence);
    analysis.relations = list_make1_oid(analysis.view);
    for (int i = 0; i < analysis.columns; i++) analysis.origin[i] = {"", analysis.view, static_cast<AttrNumber>(i + 1)};
    return analysis;
  }
  Query* query = static_cast<Query*>(copyObjectImpl(get_view_query(view)));
  Walk walk = {&analysis, analysis.view};
  collect(reinterpret_cast<Node*>(query), &walk);
  list_occurrences(&analysis, query, "");
  for (int i = 0; i < analysis.columns; i++) analysis.origin[i] = trace(query, static_cast<AttrNumber>(i + 1), "");
  return analysis;
}

}  // namespace conveyor
