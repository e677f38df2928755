#include "derive/graph.hpp"

#include "analyse/walker.hpp"
#include "derive/express.hpp"
#include "derive/steady.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/syscache.h"
}

namespace conveyor {

namespace {

constexpr int kManyTests = 8;  // on the way to one occurrence; the others' conditions are left out
// A clause as it stands in the query, until all nodes are known.
struct Clause {
  Node* expression;
  Block* at;
  Bitmapset* context;
  Block* subselect;  // of a test: whose columns its parameters are
  bool of_null;      // its operands are NULL, instead
};

struct Build {
  Graph* graph;
  GraphOptions options;
  List* clauses;  // Clause *
  List* placed;   // Subselect *: those that have been opened
};

// ---- Nodes ----

int add_node(Build* build, Block* block, int entry, Bitmapset* context) {
  Graph* graph = build->graph;
  bool followed = block == graph->followed->block && entry == static_cast<int>(graph->followed->entry);
  int number = followed ? 0 : graph->count++;
  graph->nodes[number] = {block, static_cast<Index>(entry), context, NIL, nullptr, true};
  block->node[entry] = number;
  return number;
}

int add_join(Build* build, Bitmapset* context, bool outer) {
  Graph* graph = build->graph;
  graph->join[graph->joins] = {context, outer};
  return graph->joins++;
}

Bitmapset* with(Bitmapset* context, int join) { return bms_add_member(bms_copy(context), join); }

bool has_outer_references(const Block* block) {
  int depth = 0;
  for (const Block* up = block->parent; up != nullptr; up = up->parent) depth++;
  for (int level = 1; level <= depth; level++)
    if (contain_vars_of_level(reinterpret_cast<Node*>(block->query), level)) return true;
  return false;
}

bool has_unsteady(Node* node, void* context) {
  if (node == nullptr) return false;
  if (IsA(node, RangeTblEntry)) {
    const auto* entry = reinterpret_cast<RangeTblEntry*>(node);
    return entry->rtekind == RTE_CTE || entry->tablesample != nullptr;
  }
  if (Unsteady found; find_unsteady(node, &found)) return true;
  if (IsA(node, Query))
    return query_tree_walker(reinterpret_cast<Query*>(node), as_walker(has_unsteady), context,
                             QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
  return expression_tree_walker(node, as_walker(has_unsteady), context);
}

bool is_plain(const Query* query) {
  return query->setOperations == nullptr && !query->hasAggs && query->groupClause == NIL &&
         query->groupingSets == NIL && query->havingQual == nullptr && query->windowClause == NIL &&
         query->distinctClause == NIL && query->limitCount == nullptr && query->limitOffset == nullptr &&
         !query->hasTargetSRFs;
}

// The branches of a set operation can be told apart only from inside.
bool stays_closed(const Build* build, const Block* block) {
  if (block->on_path || is_plain(block->query)) return false;
  if (!build->options.close && block->query->setOperations == nullptr) return false;
  return !has_outer_references(block) && !has_unsteady(reinterpret_cast<Node*>(block->query), nullptr);
}

void note_clause(Build* build, Clause clause) {
  auto* kept = static_cast<Clause*>(palloc(sizeof(Clause)));
  *kept = clause;
  build->clauses = lappend(build->clauses, kept);
}

void open_block(Build* build, Block* block, Bitmapset* context);
void open_from(Build* build, Block* block, Node* node, Bitmapset* context);

// ---- Sub-selects in expressions ----

// A plain EXISTS or IN keeps the row only if there is something inside: it joins.
bool joins_inside(const SubLink* link, const Block* block) {
  return (link->subLinkType == EXISTS_SUBLINK || link->subLinkType == ANY_SUBLINK) && is_plain(block->query);
}

// op ALL (...) depends on those rows for which the test is not true, so those for which its opposite is.
Node* opposite(Node* test) {
  if (!IsA(test, OpExpr)) return nullptr;
  auto* operation = reinterpret_cast<OpExpr*>(test);
  Oid negator = get_negator(operation->opno);
  if (!OidIsValid(negator)) return nullptr;
  auto* negated = static_cast<OpExpr*>(copyObjectImpl(operation));
  negated->opno = negator;
  negated->opfuncid = get_opcode(negator);
  return reinterpret_cast<Node*>(negated);
}

// NULL operands are what makes it NULL.
bool is_strict_test(Node* test) {
  if (IsA(test, OpExpr)) return op_strict(reinterpret_cast<OpExpr*>(test)->opno);
  if (!is_andclause(test)) return IsA(test, RowCompareExpr);
  ListCell* cell;
  foreach (cell, reinterpret_cast<BoolExpr*>(test)->args)
    if (!is_strict_test(static_cast<Node*>(lfirst(cell)))) return false;
  return true;
}

void note_test(Build* build, Block* at, const SubLink* link, Block* block, Bitmapset* context, bool nulls_count) {
  if (link->testexpr == nullptr || (link->subLinkType != ANY_SUBLINK && link->subLinkType != ALL_SUBLINK)) return;
  Node* test = link->subLinkType == ANY_SUBLINK ? link->testexpr : opposite(link->testexpr);
  if (test == nullptr || !is_strict_test(test)) return;
  // A plain condition takes NULL for false. ALL does not: there it stands for a row that is not as all must be.
  nulls_count = nulls_count || link->subLinkType == ALL_SUBLINK;
  bool of_null = false;
  if (nulls_count && block->on_path) {
    if (build->graph->tests == kManyTests) return;
    of_null = (build->options.nulls >> build->graph->tests++ & 1) != 0;
  }
  note_clause(build, {test, at, context, block, of_null});
}

void open_subselect(Build* build, Block* at, Subselect* subselect, Bitmapset* context, bool condition) {
  Block* block = subselect->block;
  bool joins = condition && joins_inside(subselect->link, block);
  if (!block->on_path && !joins) return;
  if (list_member_ptr(build->placed, subselect)) return;
  build->placed = lappend(build->placed, subselect);
  Bitmapset* inside = joins ? context : with(context, add_join(build, context, false));
  open_block(build, block, inside);
  note_test(build, at, subselect->link, block, inside, !condition);
}

struct Search {
  Build* build;
  Block* at;
  Bitmapset* context;
};

bool open_subselects(Node* node, void* context) {
  if (node == nullptr) return false;
  auto* search = static_cast<Search*>(context);
  if (IsA(node, SubLink)) {
    ListCell* cell;
    foreach (cell, search->at->subselects) {
      auto* subselect = static_cast<Subselect*>(lfirst(cell));
      if (subselect->link == reinterpret_cast<SubLink*>(node))
        open_subselect(search->build, search->at, subselect, search->context, false);
    }
    return open_subselects(reinterpret_cast<SubLink*>(node)->testexpr, context);
  }
  return expression_tree_walker(node, as_walker(open_subselects), context);
}

void note_conditions(Build* build, Block* at, Node* clause, Bitmapset* context) {
  if (clause == nullptr) return;
  if (is_andclause(clause)) {
    ListCell* cell;
    foreach (cell, reinterpret_cast<BoolExpr*>(clause)->args)
      note_conditions(build, at, static_cast<Node*>(lfirst(cell)), context);
    return;
  }
  if (IsA(clause, List)) {
    ListCell* cell;
    foreach (cell, reinterpret_cast<List*>(clause))
      note_conditions(build, at, static_cast<Node*>(lfirst(cell)), context);
    return;
  }
  if (IsA(clause, SubLink)) {
    ListCell* cell;
    foreach (cell, at->subselects) {
      auto* subselect = static_cast<Subselect*>(lfirst(cell));
      if (subselect->link == reinterpret_cast<SubLink*>(clause)) open_subselect(build, at, subselect, context, true);
    }
    return;
  }
  Search search = {build, at, context};
  open_subselects(clause, &search);
  note_clause(build, {clause, at, context, nullptr, false});
}

// ---- FROM ----

void open_join(Build* build, Block* block, JoinExpr* join, Bitmapset* context) {
  Bitmapset* left = context;
  Bitmapset* right = context;
  if (join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL) right = with(right, add_join(build, context, true));
  if (join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL) left = with(left, add_join(build, context, true));
  open_from(build, block, join->larg, left);
  open_from(build, block, join->rarg, right);
  note_conditions(build, block, join->quals, bms_union(left, right));
}

void open_from(Build* build, Block* block, Node* node, Bitmapset* context) {
  if (node == nullptr) return;
  if (IsA(node, FromExpr)) {
    ListCell* cell;
    foreach (cell, reinterpret_cast<FromExpr*>(node)->fromlist)
      open_from(build, block, static_cast<Node*>(lfirst(cell)), context);
    note_conditions(build, block, reinterpret_cast<FromExpr*>(node)->quals, context);
  } else if (IsA(node, JoinExpr)) {
    open_join(build, block, reinterpret_cast<JoinExpr*>(node), context);
  } else if (IsA(node, RangeTblRef)) {
    int entry = reinterpret_cast<RangeTblRef*>(node)->rtindex;
    Block* child = block->child[entry];
    if (child != nullptr && !stays_closed(build, child))
      open_block(build, child, context);
    else
      add_node(build, block, entry, context);
  }
}

void open_block(Build* build, Block* block, Bitmapset* context) {
  check_stack_depth();
  Query* query = block->query;
  build->graph->block_context[block->number] = context;
  if (query->setOperations != nullptr) {
    if (Block* branch = branch_on_path(block); branch != nullptr) open_block(build, branch, context);
  } else {
    // Its row is there even if nothing is aggregated.
    if (query->hasAggs && query->groupClause == NIL && query->groupingSets == NIL)
      context = with(context, add_join(build, context, false));
    open_from(build, block, reinterpret_cast<Node*>(query->jointree), context);
  }
  ListCell* cell;
  foreach (cell, block->subselects) open_subselect(build, block, static_cast<Subselect*>(lfirst(cell)), context, false);
}

// ---- When all nodes are known ----

void expand_node(Build* build, GraphNode* node) {
  RangeTblEntry* entry = rt_fetch(node->entry, node->block->query->rtable);
  Node* expressions = nullptr;
  switch (entry->rtekind) {
    case RTE_RELATION:
      node->usable = entry->tablesample == nullptr || node == &build->graph->nodes[0];
      return;
    case RTE_SUBQUERY:
      node->usable = stays_closed(build, node->block->child[node->entry]);
      return;
    case RTE_FUNCTION: {
      List* calls = NIL;
      ListCell* cell;
      foreach (cell, entry->functions) calls = lappend(calls, lfirst_node(RangeTblFunction, cell)->funcexpr);
      expressions = reinterpret_cast<Node*>(calls);
      break;
    }
    case RTE_VALUES:
      expressions = reinterpret_cast<Node*>(entry->values_lists);
      break;
    case RTE_TABLEFUNC:
      expressions = reinterpret_cast<Node*>(entry->tablefunc);
      break;
    default:
      node->usable = false;
      return;
  }
  // A function in FROM may return a set; what it is called with may not.
  Expressing context = {build->graph, node->block, nullptr, nullptr};
  if (entry->rtekind == RTE_FUNCTION) {
    ListCell* cell;
    foreach (cell, reinterpret_cast<List*>(expressions)) {
      auto* call = static_cast<Node*>(lfirst(cell));
      Unsteady found;
      Node* expanded = nullptr;
      if (find_unsteady(call, &found) || IsA(call, SubLink))
        context.failure = "it follows a function";
      else if (IsA(call, FuncExpr) || IsA(call, OpExpr))
        expanded = expression_tree_mutator(call, as_mutator(express), &context);
      else
        expanded = express(call, &context);
      node->expressions = lappend(node->expressions, expanded);
    }
  } else {
    node->expressions = list_make1(express(expressions, &context));
  }
  node->usable = context.failure == nullptr;
  if (node->usable) node->needs = nodes_in(build->graph, reinterpret_cast<Node*>(node->expressions));
}

struct Nullable {
  const Graph* graph;
  Bitmapset* context;
};

// Whether a value cannot be NULL in that context.
bool never_null(const Nullable* where, Node* operand) {
  const Var* var = plain_column(operand);
  if (var == nullptr) return IsA(operand, Const) && !reinterpret_cast<Const*>(operand)->constisnull;
  return bms_is_subset(where->graph->nodes[var->varno].context, where->context) && is_not_null(where->graph, var);
}

// The operands of a test of IN: of each comparison.
List* operands(Node* test) {
  if (is_andclause(test)) {
    List* all = NIL;
    ListCell* cell;
    foreach (cell, reinterpret_cast<BoolExpr*>(test)->args)
      all = list_concat(all, operands(static_cast<Node*>(lfirst(cell))));
    return all;
  }
  if (IsA(test, OpExpr)) return list_copy(reinterpret_cast<OpExpr*>(test)->args);
  return list_make1(test);
}

// "One of the operands is NULL", which is about all of their nodes; NULL where it cannot be.
Node* null_condition(const Graph* graph, Node* test, Bitmapset* context) {
  Nullable where = {graph, context};
  List* tests = NIL;
  ListCell* cell;
  foreach (cell, operands(test)) {
    auto* operand = static_cast<Node*>(lfirst(cell));
    if (never_null(&where, operand)) continue;
    auto* is_null = makeNode(NullTest);
    is_null->arg = reinterpret_cast<Expr*>(operand);
    is_null->nulltesttype = IS_NULL;
    is_null->argisrow = type_is_rowtype(exprType(operand));
    is_null->location = -1;
    tests = lappend(tests, is_null);
  }
  if (tests == NIL) return nullptr;
  return list_length(tests) == 1 ? static_cast<Node*>(linitial(tests))
                                 : reinterpret_cast<Node*>(makeBoolExpr(OR_EXPR, tests, -1));
}

void add_condition(Graph* graph, Node* expression, Bitmapset* context, Bitmapset* nodes) {
  auto* condition = static_cast<Condition*>(palloc0(sizeof(Condition)));
  condition->expression = expression;
  condition->context = context;
  describe(graph, condition);
  condition->nodes = bms_union(condition->nodes, nodes);
  graph->conditions = lappend(graph->conditions, condition);
}

void expand_clauses(Build* build) {
  ListCell* cell;
  foreach (cell, build->clauses) {
    auto* clause = static_cast<Clause*>(lfirst(cell));
    Expressing context = {build->graph, clause->at, clause->subselect, nullptr};
    Node* expression = express(clause->expression, &context);
    if (context.failure != nullptr) continue;
    Bitmapset* nodes = nullptr;
    if (clause->of_null) {
      nodes = nodes_in(build->graph, expression);
      expression = null_condition(build->graph, expression, clause->context);
      if (expression == nullptr) {
        build->graph->impossible = true;
        continue;
      }
    }
    if (expression = without_inexact(expression); expression == nullptr) continue;
    if (nodes == nullptr && nodes_in(build->graph, expression) == nullptr) continue;  // the same for all rows
    // A conjunction may have come to light in a test of several columns.
    if (is_andclause(expression)) {
      ListCell* part;
      foreach (part, reinterpret_cast<BoolExpr*>(expression)->args)
        add_condition(build->graph, static_cast<Node*>(lfirst(part)), clause->context, nodes);
    } else {
      add_condition(build->graph, expression, clause->context, nodes);
    }
  }
}

void expand_key(Build* build, const AttrNumber* key) {
  Graph* graph = build->graph;
  for (int i = 0; i < graph->keys; i++) {
    Expressing context = {build->graph, graph->tree->top, nullptr, nullptr};
    Node* value = output(&context, graph->tree->top, key[i]);
    if (context.failure == nullptr && has_inexact(value, nullptr))
      context.failure = "equal keys with different texts are merged";
    if (context.failure != nullptr && graph->hidden == nullptr) graph->hidden = context.failure;
    graph->key[i] = context.failure == nullptr ? value : nullptr;
  }
}

void mark_path(const Tree* tree, const Occurrence* followed) {
  ListCell* cell;
  foreach (cell, tree->blocks) {
    auto* block = static_cast<Block*>(lfirst(cell));
    block->on_path = false;
    for (int i = 0; i <= list_length(block->query->rtable); i++) block->node[i] = -1;
  }
  for (Block* block = followed->block; block != nullptr; block = block->parent) block->on_path = true;
}

}  // namespace

bool is_not_null(const Graph* graph, const Var* column) {
  const GraphNode& node = graph->nodes[column->varno];
  const RangeTblEntry* entry = rt_fetch(node.entry, node.block->query->rtable);
  if (entry->rtekind != RTE_RELATION) return false;
  HeapTuple tuple = SearchSysCacheAttNum(entry->relid, column->varattno);
  if (!HeapTupleIsValid(tuple)) return false;
  bool not_null = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attnotnull;
  ReleaseSysCache(tuple);
  return not_null;
}

Graph* make_graph(const Tree* tree, const Occurrence* followed, const AttrNumber* key, int keys, GraphOptions options) {
  mark_path(tree, followed);
  auto* graph = static_cast<Graph*>(palloc0(sizeof(Graph)));
  graph->tree = tree;
  graph->followed = followed;
  graph->blocks = list_length(tree->blocks);
  int entries = 1;
  int joins = 0;
  ListCell* cell;
  foreach (cell, tree->blocks) {
    const auto* block = static_cast<Block*>(lfirst(cell));
    entries += list_length(block->query->rtable);
    joins += 2 * list_length(block->query->rtable) + 2;
  }
  graph->count = 1;
  graph->nodes = static_cast<GraphNode*>(palloc0(sizeof(GraphNode) * entries));
  graph->join = static_cast<Join*>(palloc0(sizeof(Join) * joins));
  graph->block_context = static_cast<Bitmapset**>(palloc0(sizeof(Bitmapset*) * graph->blocks));
  graph->keys = keys;
  graph->key = static_cast<Node**>(palloc0(sizeof(Node*) * keys));

  Build build = {graph, options, NIL, NIL};
  open_block(&build, tree->top, nullptr);
  for (int i = 0; i < graph->count; i++)
    if (graph->nodes[i].block != nullptr) expand_node(&build, &graph->nodes[i]);
  expand_clauses(&build);
  expand_key(&build, key);
  return graph;
}

}  // namespace conveyor
