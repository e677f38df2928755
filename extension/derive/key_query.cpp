#include "derive/key_query.hpp"

#include "analyse/walker.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "parser/parsetree.h"
#include "nodes/pathnodes.h"
#include "utils/ruleutils.h"
}

namespace conveyor {

namespace {

struct Placing {
  const Graph* graph;
  List* numbers;  // of the columns of `changed`
  int* index;     // by node: in the range table, 0: not there yet
};

Node* place(Node* node, void* context) {
  if (node == nullptr) return nullptr;
  const auto* placing = static_cast<Placing*>(context);
  if (IsA(node, Var)) {
    Var* var = static_cast<Var*>(copyObjectImpl(node));
    if (var->varno == 0) {
      int position = 0;
      ListCell* cell;
      foreach (cell, placing->numbers) {
        position++;
        if (lfirst_int(cell) == var->varattno) break;
      }
      var->varattno = static_cast<AttrNumber>(position);
    }
    var->varno = placing->index[var->varno];
    var->varnosyn = 0;
    return reinterpret_cast<Node*>(var);
  }
  if (IsA(node, PlaceHolderVar))
    return place(reinterpret_cast<Node*>(reinterpret_cast<PlaceHolderVar*>(node)->phexpr), context);
  return expression_tree_mutator(node, as_mutator(place), context);
}

RangeTblEntry* changed_entry(const GraphNode& node, List* columns, bool alone) {
  const RangeTblEntry* table = rt_fetch(node.entry, node.block->query->rtable);
  auto* entry = makeNode(RangeTblEntry);
  // A WITH query, for whoever writes this down; there is none of that name, so it is what the window provides.
  entry->rtekind = RTE_CTE;
  entry->ctename = pstrdup("changed");
  entry->inFromCl = true;
  entry->eref = makeAlias(alone ? "changed" : table->eref->aliasname, static_cast<List*>(copyObjectImpl(columns)));
  return entry;
}

RangeTblEntry* entry_of(const GraphNode& node, Placing* placing) {
  auto* entry = static_cast<RangeTblEntry*>(copyObjectImpl(rt_fetch(node.entry, node.block->query->rtable)));
  entry->lateral = !bms_is_empty(node.needs);
  Node* expressions = place(reinterpret_cast<Node*>(node.expressions), placing);
  switch (entry->rtekind) {
    case RTE_FUNCTION: {
      int i = 0;
      ListCell* cell;
      foreach (cell, entry->functions)
        lfirst_node(RangeTblFunction, cell)->funcexpr =
            static_cast<Node*>(list_nth(reinterpret_cast<List*>(expressions), i++));
      break;
    }
    case RTE_VALUES:
      entry->values_lists = static_cast<List*>(linitial(reinterpret_cast<List*>(expressions)));
      break;
    case RTE_TABLEFUNC:
      entry->tablefunc = static_cast<TableFunc*>(linitial(reinterpret_cast<List*>(expressions)));
      break;
    default:
      break;
  }
  return entry;
}

// The next node to be written down: what it needs is there, and a condition leads to it where one does.
int next_node(const Graph* graph, const KeyQuery& query, Bitmapset* placed) {
  int any = -1;
  for (int i = bms_next_member(query.nodes, -1); i >= 0; i = bms_next_member(query.nodes, i)) {
    if (bms_is_member(i, placed) || !bms_is_subset(graph->nodes[i].needs, placed)) continue;
    if (any < 0) any = i;
    if (bms_overlap(graph->nodes[i].needs, placed)) return i;
    ListCell* cell;
    foreach (cell, query.conditions) {
      const auto* condition = static_cast<Condition*>(lfirst(cell));
      if (bms_is_member(i, condition->nodes) && bms_overlap(condition->nodes, placed)) return i;
    }
  }
  return any;
}

void add_entry(Query* sql, RangeTblEntry* entry) {
  sql->rtable = lappend(sql->rtable, entry);
  auto* reference = makeNode(RangeTblRef);
  reference->rtindex = list_length(sql->rtable);
  sql->jointree->fromlist = lappend(sql->jointree->fromlist, reference);
}

// On one line: line breaks that are no part of a name or of a constant become blanks.
char* on_one_line(const char* text) {
  char* line = static_cast<char*>(palloc(strlen(text) + 1));
  char* end = line;
  char quote = '\0';
  for (; *text != '\0'; text++) {
    if (quote != '\0') {
      if (*text == quote) quote = '\0';
    } else if (*text == '\'' || *text == '"') {
      quote = *text;
    } else if (*text == '\n' || *text == ' ') {
      if (end != line && end[-1] != ' ') *end++ = ' ';
      continue;
    }
    *end++ = *text;
  }
  *end = '\0';
  return line;
}

}  // namespace

const char* key_query_text(const Graph* graph, const KeyQuery& query, List* columns, List* numbers) {
  auto* sql = makeNode(Query);
  sql->commandType = CMD_SELECT;
  sql->canSetTag = true;
  sql->jointree = makeFromExpr(NIL, nullptr);
  Placing placing = {graph, numbers, static_cast<int*>(palloc0(sizeof(int) * graph->count))};
  Bitmapset* placed = nullptr;
  for (int node = 0; node >= 0; node = next_node(graph, query, placed)) {
    placed = bms_add_member(placed, node);
    placing.index[node] = list_length(sql->rtable) + 1;
    add_entry(sql, node == 0 ? changed_entry(graph->nodes[0], columns, bms_num_members(query.nodes) == 1)
                             : entry_of(graph->nodes[node], &placing));
  }
  List* conditions = NIL;
  ListCell* cell;
  foreach (cell, query.conditions)
    conditions = list_append_unique(conditions, place(static_cast<Condition*>(lfirst(cell))->expression, &placing));
  if (list_length(conditions) == 1) sql->jointree->quals = static_cast<Node*>(linitial(conditions));
  if (list_length(conditions) > 1)
    sql->jointree->quals = reinterpret_cast<Node*>(makeBoolExpr(AND_EXPR, conditions, -1));
  for (int i = 0; i < graph->keys; i++)
    sql->targetList = lappend(sql->targetList, makeTargetEntry(reinterpret_cast<Expr*>(place(query.key[i], &placing)),
                                                               static_cast<AttrNumber>(i + 1), nullptr, false));
  return on_one_line(pg_get_querydef(sql, false));
}

}  // namespace conveyor
