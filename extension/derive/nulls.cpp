#include "derive/nulls.hpp"

#include "analyse/walker.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "nodes/pathnodes.h"
}

namespace conveyor {

namespace {

// ---- NULLs in expressions ----

struct Side {
  const Graph* graph;
  int join;
};

Node* null_like(Node* expression) {
  return reinterpret_cast<Node*>(
      makeNullConst(exprType(expression), exprTypmod(expression), exprCollation(expression)));
}

bool is_constant(const Node* node, bool value) {
  if (node == nullptr || !IsA(node, Const)) return false;
  const auto* constant = reinterpret_cast<const Const*>(node);
  return constant->consttype == BOOLOID && !constant->constisnull && DatumGetBool(constant->constvalue) == value;
}

bool any_null(List* arguments) {
  ListCell* cell;
  foreach (cell, arguments)
    if (is_null(static_cast<Node*>(lfirst(cell)))) return true;
  return false;
}

Node* simpler_bool(BoolExpr* expression) {
  ListCell* cell;
  List* rest = NIL;
  bool all_null = true;
  switch (expression->boolop) {
    case NOT_EXPR:
      return any_null(expression->args) ? null_like(reinterpret_cast<Node*>(expression))
                                        : reinterpret_cast<Node*>(expression);
    case AND_EXPR:
      foreach (cell, expression->args)
        if (is_constant(static_cast<Node*>(lfirst(cell)), false)) return static_cast<Node*>(lfirst(cell));
      return reinterpret_cast<Node*>(expression);
    case OR_EXPR:
      foreach (cell, expression->args) {
        auto* argument = static_cast<Node*>(lfirst(cell));
        if (is_constant(argument, true)) return argument;
        if (is_constant(argument, false)) continue;
        all_null = all_null && is_null(argument);
        rest = lappend(rest, argument);
      }
      if (rest == NIL) return makeBoolConst(false, false);
      if (all_null) return null_like(reinterpret_cast<Node*>(expression));
      if (list_length(rest) == 1) return static_cast<Node*>(linitial(rest));
      expression->args = rest;
      return reinterpret_cast<Node*>(expression);
  }
  return reinterpret_cast<Node*>(expression);
}

Node* simpler_coalesce(CoalesceExpr* expression) {
  List* rest = NIL;
  ListCell* cell;
  foreach (cell, expression->args)
    if (!is_null(static_cast<Node*>(lfirst(cell)))) rest = lappend(rest, lfirst(cell));
  if (rest == NIL) return null_like(reinterpret_cast<Node*>(expression));
  if (list_length(rest) == 1) return static_cast<Node*>(linitial(rest));
  expression->args = rest;
  return reinterpret_cast<Node*>(expression);
}

// An expression whose parts may have become NULL. What is not known here stays as it is, which claims nothing.
Node* simpler(Node* node) {
  bool null = false;
  switch (nodeTag(node)) {
    case T_FuncExpr: {
      const auto* call = reinterpret_cast<FuncExpr*>(node);
      null = !call->funcretset && any_null(call->args) && func_strict(call->funcid);
      break;
    }
    case T_OpExpr: {
      auto* operation = reinterpret_cast<OpExpr*>(node);
      null = !operation->opretset && any_null(operation->args) && op_strict(operation->opno);
      break;
    }
    case T_NullIfExpr:
      null = is_null(static_cast<Node*>(linitial(reinterpret_cast<NullIfExpr*>(node)->args)));
      break;
    case T_ScalarArrayOpExpr: {
      auto* operation = reinterpret_cast<ScalarArrayOpExpr*>(node);
      // Of an empty array the result is known whatever is compared with it; a constant one that is not empty is usual.
      auto* array = static_cast<Node*>(lsecond(operation->args));
      bool has_elements = IsA(array, ArrayExpr) && reinterpret_cast<ArrayExpr*>(array)->elements != NIL;
      null = op_strict(operation->opno) &&
             (is_null(array) || (has_elements && is_null(static_cast<Node*>(linitial(operation->args)))));
      break;
    }
    case T_RelabelType:
      null = is_null(reinterpret_cast<Node*>(reinterpret_cast<RelabelType*>(node)->arg));
      break;
    case T_CoerceViaIO:
      null = is_null(reinterpret_cast<Node*>(reinterpret_cast<CoerceViaIO*>(node)->arg));
      break;
    case T_CollateExpr:
      null = is_null(reinterpret_cast<Node*>(reinterpret_cast<CollateExpr*>(node)->arg));
      break;
    case T_PlaceHolderVar:
      null = is_null(reinterpret_cast<Node*>(reinterpret_cast<PlaceHolderVar*>(node)->phexpr));
      break;
    case T_CoalesceExpr:
      return simpler_coalesce(reinterpret_cast<CoalesceExpr*>(node));
    case T_BoolExpr:
      return simpler_bool(reinterpret_cast<BoolExpr*>(node));
    case T_NullTest: {
      const auto* test = reinterpret_cast<NullTest*>(node);
      if (is_null(reinterpret_cast<Node*>(test->arg))) return makeBoolConst(test->nulltesttype == IS_NULL, false);
      break;
    }
    default:
      break;
  }
  return null ? null_like(node) : node;
}

Node* remove_side(Node* node, void* context) {
  if (node == nullptr) return nullptr;
  const auto* side = static_cast<Side*>(context);
  if (IsA(node, Var))
    return bms_is_member(side->join, side->graph->nodes[reinterpret_cast<Var*>(node)->varno].context) ? null_like(node)
                                                                                                      : node;
  if (IsA(node, PlaceHolderVar)) {
    Index mark = reinterpret_cast<PlaceHolderVar*>(node)->phid;
    if (mark > 0 && bms_is_member(side->join, side->graph->block_context[mark - 1])) return null_like(node);
  }
  Node* changed = expression_tree_mutator(node, as_mutator(remove_side), context);
  return simpler(changed);
}

// ---- Graphs ----

Graph* copy_graph(const Graph* graph) {
  auto* copy = static_cast<Graph*>(palloc(sizeof(Graph)));
  *copy = *graph;
  copy->nodes = static_cast<GraphNode*>(palloc(sizeof(GraphNode) * graph->count));
  for (int i = 0; i < graph->count; i++) {
    copy->nodes[i] = graph->nodes[i];
    copy->nodes[i].context = bms_copy(graph->nodes[i].context);
  }
  copy->join = static_cast<Join*>(palloc(sizeof(Join) * (graph->joins + 1)));
  for (int i = 0; i < graph->joins; i++) copy->join[i] = {bms_copy(graph->join[i].context), graph->join[i].outer};
  copy->block_context = static_cast<Bitmapset**>(palloc(sizeof(Bitmapset*) * graph->blocks));
  for (int i = 0; i < graph->blocks; i++) copy->block_context[i] = bms_copy(graph->block_context[i]);
  copy->key = static_cast<Node**>(palloc(sizeof(Node*) * graph->keys));
  for (int i = 0; i < graph->keys; i++) copy->key[i] = graph->key[i];
  copy->conditions = NIL;
  ListCell* cell;
  foreach (cell, graph->conditions) {
    auto* condition = static_cast<Condition*>(palloc(sizeof(Condition)));
    *condition = *static_cast<Condition*>(lfirst(cell));
    condition->context = bms_copy(condition->context);
    condition->referred = bms_copy(condition->referred);
    copy->conditions = lappend(copy->conditions, condition);
  }
  return copy;
}

void forget_join(Graph* graph, int join) {
  for (int i = 0; i < graph->count; i++) graph->nodes[i].context = bms_del_member(graph->nodes[i].context, join);
  for (int i = 0; i < graph->joins; i++) graph->join[i].context = bms_del_member(graph->join[i].context, join);
  for (int i = 0; i < graph->blocks; i++) graph->block_context[i] = bms_del_member(graph->block_context[i], join);
  ListCell* cell;
  foreach (cell, graph->conditions) {
    auto* condition = static_cast<Condition*>(lfirst(cell));
    condition->context = bms_del_member(condition->context, join);
    condition->referred = bms_del_member(condition->referred, join);
  }
  graph->join[join].outer = false;
}

// A condition that holds wherever the join's row is, and that is never true without the nullable side.
bool needs_side(const Graph* graph, int join) {
  for (int i = 0; i < graph->keys; i++)
    if (bms_is_member(join, contexts_in(graph, graph->key[i])) && is_null(without_side(graph, graph->key[i], join)))
      return true;
  ListCell* cell;
  foreach (cell, graph->conditions) {
    auto* condition = static_cast<Condition*>(lfirst(cell));
    if (bms_is_member(join, condition->referred) && bms_is_subset(condition->context, graph->join[join].context) &&
        is_never_true(without_side(graph, condition->expression, join)))
      return true;
  }
  return false;
}

}  // namespace

bool is_null(const Node* expression) {
  return expression != nullptr && IsA(expression, Const) && reinterpret_cast<const Const*>(expression)->constisnull;
}

bool is_never_true(const Node* expression) {
  if (is_null(expression) || is_constant(expression, false)) return true;
  if (!IsA(expression, BoolExpr)) return false;
  const auto* boolean = reinterpret_cast<const BoolExpr*>(expression);
  if (boolean->boolop == NOT_EXPR) return is_constant(static_cast<Node*>(linitial(boolean->args)), true);
  bool any = false;
  bool all = true;
  ListCell* cell;
  foreach (cell, boolean->args) {
    bool never = is_never_true(static_cast<Node*>(lfirst(cell)));
    any = any || never;
    all = all && never;
  }
  return boolean->boolop == AND_EXPR ? any : all;
}

Node* without_side(const Graph* graph, Node* expression, int join) {
  Side side = {graph, join};
  return remove_side(expression, &side);
}

void reduce_joins(Graph* graph) {
  bool again = true;
  while (again) {
    again = false;
    for (int i = 0; i < graph->joins; i++) {
      if (!graph->join[i].outer || !needs_side(graph, i)) continue;
      forget_join(graph, i);
      again = true;
    }
  }
}

Graph* with_side_there(const Graph* graph, int join) {
  Graph* copy = copy_graph(graph);
  forget_join(copy, join);
  reduce_joins(copy);
  return copy;
}

Graph* with_side_missing(const Graph* graph, int join) {
  Graph* copy = copy_graph(graph);
  copy->conditions = NIL;
  ListCell* cell;
  foreach (cell, graph->conditions) {
    auto* condition = static_cast<Condition*>(palloc(sizeof(Condition)));
    *condition = *static_cast<Condition*>(lfirst(cell));
    if (!bms_is_member(join, condition->context) && bms_is_member(join, condition->referred)) {
      Bitmapset* before = nodes_in(graph, condition->expression);
      Bitmapset* forced = bms_difference(condition->nodes, before);
      condition->expression = without_side(graph, condition->expression, join);
      // It would keep out all documents, or the followed row, where it holds for all of them or wherever that row
      // counts.
      Bitmapset* own = graph->nodes[0].context;
      bool holds =
          bms_is_empty(condition->context) || (!bms_is_member(join, own) && bms_is_subset(condition->context, own));
      if (holds && is_never_true(condition->expression)) return nullptr;
      describe(copy, condition);
      condition->nodes = bms_union(condition->nodes, forced);
    }
    copy->conditions = lappend(copy->conditions, condition);
  }
  for (int i = 0; i < copy->keys; i++) {
    copy->key[i] = without_side(graph, copy->key[i], join);
    if (is_null(copy->key[i])) return nullptr;
  }
  copy->join[join].outer = false;  // decided; what stands inside is there for the followed row alone
  reduce_joins(copy);
  return copy;
}

Bitmapset* undecided_joins(const Graph* graph) {
  Bitmapset* joins = nullptr;
  for (int i = 0; i < graph->keys; i++) joins = bms_add_members(joins, contexts_in(graph, graph->key[i]));
  ListCell* cell;
  foreach (cell, graph->conditions) {
    auto* condition = static_cast<Condition*>(lfirst(cell));
    joins = bms_add_members(joins, bms_difference(condition->referred, condition->context));
  }
  Bitmapset* outer = nullptr;
  for (int i = bms_next_member(joins, -1); i >= 0; i = bms_next_member(joins, i))
    if (graph->join[i].outer) outer = bms_add_member(outer, i);
  return outer;
}

Holding holding(const Graph* graph) {
  Bitmapset* own = graph->nodes[0].context;
  Bitmapset* live = bms_copy(own);
  Holding result = {};
  bool again = true;
  while (again) {
    again = false;
    result.conditions = NIL;
    ListCell* cell;
    foreach (cell, graph->conditions) {
      auto* condition = static_cast<Condition*>(lfirst(cell));
      // What looks at a nullable side from outside holds for the row as it is, not for the changed one that would be
      // there or would not.
      Bitmapset* from_outside = bms_intersect(condition->referred, bms_difference(own, condition->context));
      if (!bms_is_subset(condition->context, live) || !bms_is_empty(from_outside)) continue;
      Bitmapset* unknown = bms_difference(condition->referred, live);
      for (int i = bms_next_member(unknown, -1); i >= 0; i = bms_next_member(unknown, i)) {
        if (!is_never_true(without_side(graph, condition->expression, i))) continue;
        live = bms_add_member(live, i);
        again = true;
      }
      if (bms_is_subset(condition->referred, live)) result.conditions = lappend(result.conditions, condition);
    }
  }
  for (int i = 0; i < graph->count; i++)
    if (graph->nodes[i].usable && graph->nodes[i].block != nullptr && bms_is_subset(graph->nodes[i].context, live))
      result.nodes = bms_add_member(result.nodes, i);
  return result;
}

}  // namespace conveyor
