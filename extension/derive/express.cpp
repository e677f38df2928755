#include "derive/express.hpp"

#include "analyse/table.hpp"
#include "analyse/walker.hpp"
#include "derive/steady.hpp"
#include "fetch/feed.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
}

namespace conveyor {

namespace {

constexpr Index kInexact = 0;  // phid: one of several equal values with different texts
// Other phids: Block::number + 1 of the sub-select that the expression is a column of.

// ---- Expressions in terms of the graph ----

Node* wrap(Node* expression, Index mark) {
  auto* wrapped = makeNode(PlaceHolderVar);
  wrapped->phexpr = reinterpret_cast<Expr*>(expression);
  wrapped->phid = mark;
  return reinterpret_cast<Node*>(wrapped);
}

Node* fail(Expressing* here, const char* failure) {
  if (here->failure == nullptr) here->failure = failure;
  return nullptr;
}

Node* node_var(Expressing* outer, int number, const Var* var) {
  const GraphNode& node = outer->graph->nodes[number];
  if (number == 0 && var->varattno <= 0) return fail(outer, "it is used as a whole row");
  if (const RangeTblEntry* entry = rt_fetch(node.entry, node.block->query->rtable);
      entry->rtekind == RTE_RELATION && var->varattno > 0 && get_attgenerated(entry->relid, var->varattno) == 'v')
    return fail(outer, "a virtual column stands in between");
  Var* global = makeVar(number, var->varattno, var->vartype, var->vartypmod, var->varcollid, 0);
  return reinterpret_cast<Node*>(global);
}

Node* express_at(Expressing* outer, Block* at, Node* expression) {
  Expressing inner = {outer->graph, at, nullptr, nullptr};
  Node* result = express(expression, &inner);
  return inner.failure != nullptr ? fail(outer, inner.failure) : result;
}

Node* express_var(Expressing* outer, const Var* var) {
  Block* block = outer->at;
  for (Index i = 0; i < var->varlevelsup; i++) block = block->parent;
  if (int node = block->node[var->varno]; node >= 0) return node_var(outer, node, var);
  if (Block* child = block->child[var->varno]; child != nullptr) {
    if (var->varattno <= 0) return fail(outer, "a whole row of a sub-select stands in between");
    return output(outer, child, var->varattno);
  }
  List* expressions = compat::entry_expressions(rt_fetch(var->varno, block->query->rtable));
  if (expressions == NIL || var->varattno <= 0) return fail(outer, "it has no place in the join");
  return express_at(outer, block, static_cast<Node*>(list_nth(expressions, var->varattno - 1)));
}

// ---- Columns of sub-selects ----

bool among(const Block* block, List* clauses, Node* expression) {
  ListCell* cell;
  foreach (cell, clauses)
    if (equal(get_sortgroupclause_expr(lfirst_node(SortGroupClause, cell), block->query->targetList), expression))
      return true;
  return false;
}

// Whether a changed row inside the block can concern only such rows of its result as have the column's value in common
// with it. NULL: it does; else what stands against it.
const char* mixes(const Block* block, Node* expression) {
  const Query* query = block->query;
  if (query->limitCount != nullptr || query->limitOffset != nullptr) return "LIMIT chooses among rows";
  if (expression == nullptr) return nullptr;
  ListCell* cell;
  foreach (cell, query->windowClause)
    if (!among(block, lfirst_node(WindowClause, cell)->partitionClause, expression))
      return "a window function looks at rows beyond its PARTITION BY";
  if (query->hasDistinctOn && !among(block, query->distinctClause, expression)) return "DISTINCT ON chooses among rows";
  return nullptr;
}

bool merges_equal_rows(const Query* query) {
  return query->groupClause != NIL || query->distinctClause != NIL || query->windowClause != NIL || merges_rows(query);
}

bool is_primary_key(const Graph* graph, Node* expression) {
  const Var* var = plain_column(expression);
  if (var == nullptr) return false;
  const GraphNode& node = graph->nodes[var->varno];
  const RangeTblEntry* entry = rt_fetch(node.entry, node.block->query->rtable);
  if (entry->rtekind != RTE_RELATION) return false;
  AttrNumber* columns;
  return primary_key(entry->relid, &columns) == 1 && columns[0] == var->varattno;
}

// What the rows of a set operation have in common is the type, to which the branches' columns are brought.
Node* in_common_type(const Query* query, AttrNumber column, Node* expression) {
  auto* operation = reinterpret_cast<SetOperationStmt*>(query->setOperations);
  Oid type = list_nth_oid(operation->colTypes, column - 1);
  Oid own = exprType(expression);
  if (own == type) return expression;
  return coerce_to_target_type(nullptr, expression, own, type, -1, COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
}

Node* own_output(Expressing* outer, Block* block, AttrNumber column) {
  Query* query = block->query;
  if (query->setOperations != nullptr) {
    Block* branch = branch_on_path(block);
    if (branch == nullptr) return fail(outer, "it comes from one of several branches");
    if (const char* reason = mixes(block, nullptr); reason != nullptr) return fail(outer, reason);
    Node* value = output(outer, branch, column);
    return value == nullptr ? nullptr : in_common_type(query, column, value);
  }
  TargetEntry* target = output_entry(block, column);
  if (target == nullptr) return fail(outer, "it has no place in the join");
  if (block->on_path)
    if (const char* reason = mixes(block, reinterpret_cast<Node*>(target->expr)); reason != nullptr)
      return fail(outer, reason);
  return express_at(outer, block, reinterpret_cast<Node*>(target->expr));
}

struct Mentioned {
  const Graph* graph;
  Bitmapset* nodes;
  Bitmapset* contexts;
};

bool mention(Node* node, void* context) {
  if (node == nullptr) return false;
  auto* mentioned = static_cast<Mentioned*>(context);
  if (IsA(node, Var)) {
    const auto* var = reinterpret_cast<Var*>(node);
    mentioned->nodes = bms_add_member(mentioned->nodes, var->varno);
    mentioned->contexts = bms_add_members(mentioned->contexts, mentioned->graph->nodes[var->varno].context);
    return false;
  }
  if (IsA(node, PlaceHolderVar)) {
    Index mark = reinterpret_cast<PlaceHolderVar*>(node)->phid;
    if (mark != kInexact)
      mentioned->contexts = bms_add_members(mentioned->contexts, mentioned->graph->block_context[mark - 1]);
  }
  return expression_tree_walker(node, as_walker(mention), context);
}

}  // namespace

Node* express(Node* node, void* context) {
  if (node == nullptr) return nullptr;
  auto* here = static_cast<Expressing*>(context);
  if (here->failure != nullptr) return nullptr;
  switch (nodeTag(node)) {
    case T_Var:
      return express_var(here, reinterpret_cast<Var*>(node));
    case T_Param: {
      const auto* parameter = reinterpret_cast<Param*>(node);
      if (parameter->paramkind != PARAM_SUBLINK || here->subselect == nullptr) return fail(here, "of a parameter");
      return output(here, here->subselect, static_cast<AttrNumber>(parameter->paramid));
    }
    case T_SubLink:
      return fail(here, "it is made by a sub-select");
    case T_Aggref:
    case T_GroupingFunc:
      return fail(here, "it is made by an aggregate");
    case T_WindowFunc:
      return fail(here, "it is made by a window function");
    default:
      break;
  }
  if ((IsA(node, FuncExpr) && reinterpret_cast<FuncExpr*>(node)->funcretset) ||
      (IsA(node, OpExpr) && reinterpret_cast<OpExpr*>(node)->opretset))
    return fail(here, "it is made by a function that returns a set");
  if (Unsteady found; find_unsteady(node, &found)) return fail(here, psprintf("%s %s", found.name, found.reason));
  return expression_tree_mutator(node, as_mutator(express), context);
}

Block* branch_on_path(const Block* block) {
  for (int i = 1; i <= list_length(block->query->rtable); i++)
    if (block->child[i] != nullptr && block->child[i]->on_path) return block->child[i];
  return nullptr;
}

Node* output(Expressing* outer, Block* block, AttrNumber column) {
  check_stack_depth();
  Graph* graph = outer->graph;
  Node* value = own_output(outer, block, column);
  if (value == nullptr) return fail(outer, "it cannot be brought to the type of its column");
  if (merges_equal_rows(block->query) && !is_exact(exprType(value), exprCollation(value)) &&
      !is_primary_key(graph, value) && !IsA(value, Const))
    value = wrap(value, kInexact);
  if (!bms_is_empty(graph->block_context[block->number]) && !IsA(value, Var))
    value = wrap(value, static_cast<Index>(block->number) + 1);
  return value;
}

bool has_inexact(Node* node, void* context) {
  if (node == nullptr) return false;
  if (IsA(node, PlaceHolderVar) && reinterpret_cast<PlaceHolderVar*>(node)->phid == kInexact) return true;
  return expression_tree_walker(node, as_walker(has_inexact), context);
}

Node* without_inexact(Node* expression) {
  Node* left;
  Node* right;
  if (is_equality(expression, &left, &right)) {
    auto* operation = static_cast<OpExpr*>(copyObjectImpl(expression));
    ListCell* cell;
    foreach (cell, operation->args) {
      auto* side = static_cast<Node*>(lfirst(cell));
      if (IsA(side, PlaceHolderVar) && reinterpret_cast<PlaceHolderVar*>(side)->phid == kInexact)
        lfirst(cell) = reinterpret_cast<PlaceHolderVar*>(side)->phexpr;
    }
    expression = reinterpret_cast<Node*>(operation);
  }
  return has_inexact(expression, nullptr) ? nullptr : expression;
}

Bitmapset* nodes_in(const Graph* graph, Node* expression) {
  Mentioned mentioned = {graph, nullptr, nullptr};
  mention(expression, &mentioned);
  return mentioned.nodes;
}

Bitmapset* contexts_in(const Graph* graph, Node* expression) {
  Mentioned mentioned = {graph, nullptr, nullptr};
  mention(expression, &mentioned);
  return mentioned.contexts;
}

void describe(const Graph* graph, Condition* condition) {
  condition->nodes = nodes_in(graph, condition->expression);
  condition->referred = contexts_in(graph, condition->expression);
}

const Var* plain_column(Node* expression) {
  while (expression != nullptr && (IsA(expression, RelabelType) || IsA(expression, PlaceHolderVar)))
    expression = IsA(expression, RelabelType)
                     ? reinterpret_cast<Node*>(reinterpret_cast<RelabelType*>(expression)->arg)
                     : reinterpret_cast<Node*>(reinterpret_cast<PlaceHolderVar*>(expression)->phexpr);
  if (expression == nullptr || !IsA(expression, Var)) return nullptr;
  const auto* var = reinterpret_cast<const Var*>(expression);
  return var->varattno > 0 ? var : nullptr;
}

bool is_equality(Node* expression, Node** left, Node** right) {
  if (!is_opclause(expression)) return false;
  auto* operation = reinterpret_cast<OpExpr*>(expression);
  if (list_length(operation->args) != 2) return false;
  *left = static_cast<Node*>(linitial(operation->args));
  *right = static_cast<Node*>(lsecond(operation->args));
  return op_mergejoinable(operation->opno, exprType(*left));
}

bool is_exact(Oid type, Oid collation) {
  return is_exact_type(getBaseType(type)) && (!OidIsValid(collation) || get_collation_isdeterministic(collation));
}

}  // namespace conveyor
