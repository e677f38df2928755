#include "derive/follow.hpp"

#include "derive/key_query.hpp"
#include "derive/nulls.hpp"
#include "derive/part.hpp"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
}

namespace conveyor {

namespace {

constexpr const char* kNoWay =
    "is joined to nothing that leads to a document's key, so that a change there may concern every document";
// The row that is nearest to the document has the whole key: else two of them could change together, and the old image
// of neither would find the document that was.
constexpr const char* kSeveral =
    "leaves the document's key open, which is made of rows of several tables that may change together";
constexpr const char* kTooMany = "is joined by too many outer joins that leave open what the key is";
constexpr int kManyDecisions = 6;

struct Work {
  List* columns;
  List* numbers;
  List* texts;
  const char* failure;
};

// ---- Columns that stand for the key ----

// Values of the first type are written like equal ones of the second.
bool same_texts(Oid first, Oid second, Oid collation) {
  auto is_integer = [](Oid type) { return type == INT2OID || type == INT4OID || type == INT8OID; };
  first = getBaseType(first);
  second = getBaseType(second);
  return is_exact(first, collation) && is_exact(second, collation) &&
         (first == second || (is_integer(first) && is_integer(second)));
}

bool same_column(const Var* a, const Var* b) { return a->varno == b->varno && a->varattno == b->varattno; }

List* add_column(List* columns, const Var* column) {
  ListCell* cell;
  foreach (cell, columns)
    if (same_column(static_cast<Var*>(lfirst(cell)), column)) return columns;
  return lappend(columns, const_cast<Var*>(column));
}

// Columns that equal a column of the key wherever the conditions hold: Var *.
List* equal_columns(const Holding& held, Node* key) {
  const Var* own = plain_column(key);
  if (own == nullptr) return NIL;
  List* columns = list_make1(const_cast<Var*>(own));
  for (int i = 0; i < list_length(columns); i++) {
    const auto* known = static_cast<Var*>(list_nth(columns, i));
    ListCell* cell;
    foreach (cell, held.conditions) {
      Node* expression = static_cast<Condition*>(lfirst(cell))->expression;
      Node* left;
      Node* right;
      if (!is_equality(expression, &left, &right)) continue;
      const Var* a = plain_column(left);
      const Var* b = plain_column(right);
      if (a == nullptr || b == nullptr) continue;
      if (!same_texts(a->vartype, b->vartype, reinterpret_cast<OpExpr*>(expression)->inputcollid)) continue;
      if (same_column(a, known)) columns = add_column(columns, b);
      if (same_column(b, known)) columns = add_column(columns, a);
    }
  }
  return columns;
}

// The key by columns of that node alone; false where it does not have them all.
bool key_on_node(const Graph* graph, List** alternatives, int node, Node** key) {
  for (int i = 0; i < graph->keys; i++) {
    key[i] = nullptr;
    ListCell* cell;
    foreach (cell, alternatives[i])
      if (static_cast<Var*>(lfirst(cell))->varno == node) key[i] = static_cast<Node*>(lfirst(cell));
    if (key[i] == nullptr) return false;
  }
  return true;
}

// COALESCE of a column that is there and NOT NULL is that column, as in the key of a FULL JOIN.
Node* without_fallback(const Graph* graph, const Holding& held, Node* key) {
  if (!IsA(key, CoalesceExpr)) return key;
  auto* first = static_cast<Node*>(linitial(reinterpret_cast<CoalesceExpr*>(key)->args));
  const Var* column = plain_column(strip_implicit_coercions(first));
  if (column == nullptr || !bms_is_member(column->varno, held.nodes) || !is_not_null(graph, column)) return key;
  return first;
}

// ---- The part of the graph ----

NodeSet to_set(Bitmapset* members) {
  NodeSet set;
  for (int i = bms_next_member(members, -1); i >= 0; i = bms_next_member(members, i)) set.set(i);
  return set;
}

// All but the columns that are wanted.
PartProblem part_problem(const Graph* graph, const Holding& held) {
  PartProblem problem;
  problem.nodes = graph->count;
  problem.usable = to_set(held.nodes);
  auto* needs = static_cast<NodeSet*>(palloc(sizeof(NodeSet) * graph->count));
  for (int i = 0; i < graph->count; i++) needs[i] = to_set(graph->nodes[i].needs);
  problem.needs = {needs, static_cast<std::size_t>(graph->count)};
  auto* links = static_cast<Link*>(palloc(sizeof(Link) * (list_length(held.conditions) + 1)));
  std::size_t count = 0;
  ListCell* cell;
  foreach (cell, held.conditions) {
    const auto* condition = static_cast<Condition*>(lfirst(cell));
    Node* left;
    Node* right;
    links[count++] = {to_set(condition->nodes), is_equality(condition->expression, &left, &right)};
  }
  problem.links = {links, count};
  return problem;
}

int weight(const Graph* graph, const NodeSet& nodes) {
  int sum = 0;
  for (int i = 0; i < graph->count; i++) {
    if (!nodes[i]) continue;
    const GraphNode& node = graph->nodes[i];
    sum += rt_fetch(node.entry, node.block->query->rtable)->rtekind == RTE_SUBQUERY ? 3 : 1;
  }
  return sum;
}

// ---- Conditions ----

// Of a condition on the followed table alone: whether recording its columns is cheap. Long values are not worth it.
bool is_small(Node* node) {
  const Var* var = plain_column(node);
  return var != nullptr && (get_typlen(var->vartype) > 0 || type_is_enum(var->vartype));
}

bool is_cheap(Node* expression) {
  List* operands = NIL;
  if (is_small(expression)) return true;
  if (IsA(expression, OpExpr)) operands = reinterpret_cast<OpExpr*>(expression)->args;
  if (IsA(expression, ScalarArrayOpExpr)) operands = reinterpret_cast<ScalarArrayOpExpr*>(expression)->args;
  if (IsA(expression, BoolExpr)) {
    ListCell* cell;
    foreach (cell, reinterpret_cast<BoolExpr*>(expression)->args)
      if (!is_cheap(static_cast<Node*>(lfirst(cell)))) return false;
    return true;
  }
  if (IsA(expression, NullTest)) return is_small(reinterpret_cast<Node*>(reinterpret_cast<NullTest*>(expression)->arg));
  if (IsA(expression, BooleanTest))
    return is_small(reinterpret_cast<Node*>(reinterpret_cast<BooleanTest*>(expression)->arg));
  ListCell* cell;
  foreach (cell, operands) {
    auto* operand = static_cast<Node*>(lfirst(cell));
    bool constant = IsA(operand, Const) || IsA(operand, ArrayExpr) || IsA(operand, ArrayCoerceExpr);
    if (!constant && plain_column(operand) == nullptr) return false;
  }
  return operands != NIL;
}

List* conditions_within(const Holding& held, Bitmapset* nodes) {
  List* conditions = NIL;
  Bitmapset* followed = bms_make_singleton(0);
  ListCell* cell;
  foreach (cell, held.conditions) {
    auto* condition = static_cast<Condition*>(lfirst(cell));
    if (!bms_is_subset(condition->nodes, nodes)) continue;
    if (bms_equal(condition->nodes, followed) && !is_cheap(condition->expression)) continue;
    conditions = lappend(conditions, condition);
  }
  return conditions;
}

// ---- One graph ----

bool take_smallest(Work* work, const Graph* graph) {
  Holding held = holding(graph);
  PartProblem problem = part_problem(graph, held);
  auto** alternatives = static_cast<List**>(palloc(sizeof(List*) * graph->keys));
  auto** own_key = static_cast<Node**>(palloc(sizeof(Node*) * graph->keys));
  for (int i = 0; i < graph->keys; i++) {
    own_key[i] = without_fallback(graph, held, graph->key[i]);
    alternatives[i] = equal_columns(held, own_key[i]);
  }
  bool several = false;
  KeyQuery best = {};
  int best_weight = 0;
  auto consider = [&](Node** key) {
    Bitmapset* wanted = nullptr;
    for (int i = 0; i < graph->keys; i++) wanted = bms_add_members(wanted, nodes_in(graph, key[i]));
    several = several || bms_num_members(wanted) > 1;
    if (bms_num_members(wanted) > 1) return;
    problem.wanted = to_set(wanted);
    Part part = smallest_part(problem);
    if (!part.connected || (best.key != nullptr && weight(graph, part.nodes) >= best_weight)) return;
    Bitmapset* nodes = nullptr;
    for (int i = 0; i < graph->count; i++)
      if (part.nodes[i]) nodes = bms_add_member(nodes, i);
    best = {nodes, conditions_within(held, nodes), key};
    best_weight = weight(graph, part.nodes);
  };
  consider(own_key);
  for (int i = 0; i < graph->count; i++) {
    auto** key = static_cast<Node**>(palloc(sizeof(Node*) * graph->keys));
    if (key_on_node(graph, alternatives, i, key)) consider(key);
  }
  if (best.key == nullptr) {
    work->failure = several ? kSeveral : kNoWay;
    return false;
  }
  const char* text = key_query_text(graph, best, work->columns, work->numbers);
  ListCell* cell;
  foreach (cell, work->texts)
    if (strcmp(static_cast<char*>(lfirst(cell)), text) == 0) return true;
  work->texts = lappend(work->texts, pstrdup(text));
  return true;
}

// Where outer joins leave open what the key is or what holds, both cases are looked at.
bool take(Work* work, const Graph* graph, int decisions) {
  CHECK_FOR_INTERRUPTS();
  Bitmapset* open = undecided_joins(graph);
  bool key_open = false;
  for (int i = 0; i < graph->keys; i++) key_open = key_open || bms_overlap(contexts_in(graph, graph->key[i]), open);
  if (!key_open && take_smallest(work, graph)) return true;
  if (bms_is_empty(open)) return false;
  if (decisions == kManyDecisions) {
    work->failure = kTooMany;
    return false;
  }
  int join = bms_next_member(open, -1);
  if (!take(work, with_side_there(graph, join), decisions + 1)) return false;
  const Graph* missing = with_side_missing(graph, join);
  return missing == nullptr || take(work, missing, decisions + 1);
}

bool take_all(Work* work, const Tree* tree, const Occurrence* occurrence, const AttrNumber* key, int keys, bool close) {
  work->texts = NIL;
  uint32 masks = 1;
  for (uint32 mask = 0; mask < masks; mask++) {
    Graph* graph = make_graph(tree, occurrence, key, keys, {close, mask});
    if (mask == 0) masks = 1u << graph->tests;
    if (graph->hidden != nullptr) {
      work->failure = psprintf("has no way to the document's key: %s", graph->hidden);
      return false;
    }
    if (graph->count > kMaxNodes) {
      work->failure = "stands in a join of too many tables";
      return false;
    }
    if (graph->impossible) continue;
    reduce_joins(graph);
    if (!take(work, graph, 0)) return false;
  }
  return true;
}

}  // namespace

Followed follow(const Tree* tree, const Occurrence* occurrence, const AttrNumber* key, int keys, List* columns,
                List* numbers) {
  Work work = {columns, numbers, NIL, nullptr};
  if (take_all(&work, tree, occurrence, key, keys, false)) return {work.texts, nullptr};
  const char* failure = work.failure;
  if (take_all(&work, tree, occurrence, key, keys, true)) return {work.texts, nullptr};
  return {NIL, failure};
}

}  // namespace conveyor
