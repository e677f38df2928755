#include "derive/tree.hpp"

#include "analyse/walker.hpp"
#include "derive/steady.hpp"
#include "fetch/feed.hpp"

extern "C" {
#include "catalog/pg_class.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
}

namespace conveyor {

namespace {

struct Visit {
  Tree* tree;
  const Expanded* expanded;
  Block* at;           // the block that the expression stands in
  const char* clause;  // of it
};

// ---- Blocks ----

Oid own_view(const Expanded* expanded, const Query* query) {
  int i = 0;
  ListCell* cell;
  foreach (cell, expanded->queries) {
    if (lfirst(cell) == query) return list_nth_oid(expanded->owners, i);
    i++;
  }
  return InvalidOid;
}

Block* make_block(Tree* tree, const Expanded* expanded, Query* query, Block* parent) {
  auto* block = static_cast<Block*>(palloc0(sizeof(Block)));
  Oid view = own_view(expanded, query);
  block->query = query;
  block->parent = parent;
  block->number = list_length(tree->blocks);
  block->of_view = OidIsValid(view);
  block->view = block->of_view || parent == nullptr ? view : parent->view;
  tree->blocks = lappend(tree->blocks, block);
  int entries = list_length(query->rtable);
  block->child = static_cast<Block**>(palloc0(sizeof(Block*) * (entries + 1)));
  block->node = static_cast<int*>(palloc0(sizeof(int) * (entries + 1)));
  Bitmapset* read = entries_read(query);
  for (int i = bms_next_member(read, -1); i >= 0; i = bms_next_member(read, i)) {
    RangeTblEntry* entry = rt_fetch(i, query->rtable);
    if (entry->rtekind == RTE_SUBQUERY) block->child[i] = make_block(tree, expanded, entry->subquery, block);
  }
  return block;
}

// ---- What is used ----

bool visit(Node* node, void* context);
void visit_block(Visit* visit, Block* block);
void visit_output(Visit* visit, Block* block, AttrNumber column);
void note_entries(Visit* outer, Block* block);

void visit_expression(Visit* outer, Block* at, Node* expression, const char* clause) {
  Visit inner = {outer->tree, outer->expanded, at, clause};
  visit(expression, &inner);
}

const char* clause_place(const Visit* visit) {
  return visit->clause == nullptr ? place_of(visit->at) : psprintf("%s of %s", visit->clause, place_of(visit->at));
}

void note_problem(Visit* visit, const char* object, Oid relation, Oid function, const char* reason) {
  add_problem(visit->tree, {object, relation, function, clause_place(visit), reason});
}

void visit_all_outputs(Visit* visit, Block* block) {
  ListCell* cell;
  foreach (cell, block->query->targetList) {
    auto* target = lfirst_node(TargetEntry, cell);
    if (!target->resjunk) visit_output(visit, block, target->resno);
  }
}

const char* system_column(AttrNumber column) {
  switch (column) {
    case SelfItemPointerAttributeNumber:
      return "ctid";
    case MinTransactionIdAttributeNumber:
      return "xmin";
    case MinCommandIdAttributeNumber:
      return "cmin";
    case MaxTransactionIdAttributeNumber:
      return "xmax";
    default:
      return "cmax";
  }
}

void use_column(Visit* visit, Occurrence* occurrence, AttrNumber column) {
  if (column == TableOidAttributeNumber) return;  // a row that moves is deleted and inserted
  if (column < 0) {
    note_problem(visit, system_column(column), InvalidOid, InvalidOid,
                 psprintf("is a system column of %s, which changes unseen", relation_name(occurrence->relation)));
  } else if (column == 0 || get_attgenerated(occurrence->relation, column) == 'v') {
    // What a virtual column is made of is not followed one by one.
    occurrence->whole = true;
  } else {
    occurrence->columns = bms_add_member(occurrence->columns, column);
  }
}

void visit_var(Visit* outer, const Var* var) {
  Block* block = outer->at;
  for (Index i = 0; i < var->varlevelsup; i++) block = block->parent;
  RangeTblEntry* entry = rt_fetch(var->varno, block->query->rtable);
  if (Block* child = block->child[var->varno]; child != nullptr) {
    if (var->varattno == 0)
      visit_all_outputs(outer, child);
    else
      visit_output(outer, child, var->varattno);
    return;
  }
  if (Occurrence* occurrence = occurrence_at(outer->tree, block, var->varno); occurrence != nullptr) {
    use_column(outer, occurrence, var->varattno);
    return;
  }
  if (List* expressions = compat::entry_expressions(entry); expressions != NIL) {
    Visit inner = {outer->tree, outer->expanded, block, outer->clause};
    visit(var->varattno > 0 ? static_cast<Node*>(list_nth(expressions, var->varattno - 1))
                            : reinterpret_cast<Node*>(expressions),
          &inner);
  }
}

void visit_subselect(Visit* outer, SubLink* link) {
  auto* query = reinterpret_cast<Query*>(link->subselect);
  Block* block = block_of(outer->at, link);
  if (block != nullptr) return;  // met before, through another column
  block = make_block(outer->tree, outer->expanded, query, outer->at);
  auto* subselect = static_cast<Subselect*>(palloc(sizeof(Subselect)));
  *subselect = {link, block};
  outer->at->subselects = lappend(outer->at->subselects, subselect);
  note_entries(outer, block);
  visit_block(outer, block);
  if (link->subLinkType != EXISTS_SUBLINK) visit_all_outputs(outer, block);
}

bool visit(Node* node, void* context) {
  if (node == nullptr) return false;
  auto* here = static_cast<Visit*>(context);
  if (IsA(node, Var)) {
    visit_var(here, reinterpret_cast<Var*>(node));
    return false;
  }
  if (IsA(node, SubLink)) {
    visit_subselect(here, reinterpret_cast<SubLink*>(node));
    return visit(reinterpret_cast<SubLink*>(node)->testexpr, context);
  }
  if (Unsteady found; find_unsteady(node, &found))
    note_problem(here, found.name, InvalidOid, found.function, found.reason);
  return expression_tree_walker(node, as_walker(visit), context);
}

// WITH RECURSIVE: what it reads has no way to a document that could be written down.
bool visit_recursive(Node* node, void* context) {
  if (node == nullptr) return false;
  auto* here = static_cast<Visit*>(context);
  if (IsA(node, RangeTblEntry)) {
    auto* entry = reinterpret_cast<RangeTblEntry*>(node);
    if (entry->rtekind != RTE_RELATION) return false;
    if (get_rel_relkind(entry->relid) != RELKIND_VIEW) {
      add_problem(here->tree, {relation_name(entry->relid), entry->relid, InvalidOid, clause_place(here),
                               "is read by a recursive query"});
      return false;
    }
    Relation view = table_open(entry->relid, AccessShareLock);
    Expanded inner = expand_view(view);
    table_close(view, NoLock);
    return visit_recursive(reinterpret_cast<Node*>(inner.query), context);
  }
  if (IsA(node, Query))
    return query_tree_walker(reinterpret_cast<Query*>(node), as_walker(visit_recursive), context,
                             QTW_EXAMINE_RTES_BEFORE);
  if (Unsteady found; find_unsteady(node, &found))
    note_problem(here, found.name, InvalidOid, found.function, found.reason);
  return expression_tree_walker(node, as_walker(visit_recursive), context);
}

void visit_with(Visit* outer, Block* block, const RangeTblEntry* entry) {
  const Block* owner = block;
  for (Index i = 0; i < entry->ctelevelsup; i++) owner = owner->parent;
  ListCell* cell;
  foreach (cell, owner->query->cteList) {
    auto* with = lfirst_node(CommonTableExpr, cell);
    if (strcmp(with->ctename, entry->ctename) != 0) continue;
    Visit inner = {outer->tree, outer->expanded, block, psprintf("WITH RECURSIVE %s", quote_identifier(with->ctename))};
    visit_recursive(with->ctequery, &inner);
  }
}

void note_relation(Tree* tree, Block* block, int entry, const RangeTblEntry* table) {
  auto* occurrence = static_cast<Occurrence*>(palloc0(sizeof(Occurrence)));
  occurrence->block = block;
  occurrence->entry = static_cast<Index>(entry);
  occurrence->relation = table->relid;
  tree->occurrences = lappend(tree->occurrences, occurrence);
}

// Tables of the block and of those in its FROM, before any column is met.
void note_entries(Visit* outer, Block* block) {
  Query* query = block->query;
  Bitmapset* read = entries_read(query);
  for (int i = bms_next_member(read, -1); i >= 0; i = bms_next_member(read, i)) {
    RangeTblEntry* entry = rt_fetch(i, query->rtable);
    if (entry->rtekind == RTE_SUBQUERY) note_entries(outer, block->child[i]);
    if (entry->rtekind == RTE_RELATION) note_relation(outer->tree, block, i, entry);
  }
}

void visit_from(Visit* outer, Block* block, Node* node) {
  if (node == nullptr) return;
  if (IsA(node, FromExpr)) {
    ListCell* cell;
    foreach (cell, reinterpret_cast<FromExpr*>(node)->fromlist)
      visit_from(outer, block, static_cast<Node*>(lfirst(cell)));
    visit_expression(outer, block, reinterpret_cast<FromExpr*>(node)->quals, "the WHERE clause");
    return;
  }
  if (IsA(node, JoinExpr)) {
    visit_from(outer, block, reinterpret_cast<JoinExpr*>(node)->larg);
    visit_from(outer, block, reinterpret_cast<JoinExpr*>(node)->rarg);
    visit_expression(outer, block, reinterpret_cast<JoinExpr*>(node)->quals, "a join condition");
    return;
  }
  if (!IsA(node, RangeTblRef)) return;
  int index = reinterpret_cast<RangeTblRef*>(node)->rtindex;
  RangeTblEntry* entry = rt_fetch(index, block->query->rtable);
  constexpr const char* kFrom = "the FROM clause";
  switch (entry->rtekind) {
    case RTE_SUBQUERY:
      visit_block(outer, block->child[index]);
      break;
    case RTE_RELATION:
      if (entry->tablesample != nullptr) {
        Visit inner = {outer->tree, outer->expanded, block, kFrom};
        note_problem(&inner, "TABLESAMPLE", InvalidOid, InvalidOid, "picks rows by chance");
        visit_expression(outer, block, reinterpret_cast<Node*>(entry->tablesample), kFrom);
      }
      break;
    case RTE_FUNCTION:
      visit_expression(outer, block, reinterpret_cast<Node*>(entry->functions), kFrom);
      break;
    case RTE_TABLEFUNC:
      visit_expression(outer, block, reinterpret_cast<Node*>(entry->tablefunc), kFrom);
      break;
    case RTE_VALUES:
      visit_expression(outer, block, reinterpret_cast<Node*>(entry->values_lists), kFrom);
      break;
    case RTE_CTE:
      visit_with(outer, block, entry);
      break;
    default:
      break;
  }
}

void visit_sorting(Visit* outer, Block* block, List* clauses) {
  ListCell* cell;
  foreach (cell, clauses) {
    auto* clause = lfirst_node(SortGroupClause, cell);
    visit_output(outer, block, get_sortgroupclause_tle(clause, block->query->targetList)->resno);
  }
}

void visit_windows(Visit* outer, Block* block) {
  ListCell* cell;
  foreach (cell, block->query->windowClause) {
    auto* window = lfirst_node(WindowClause, cell);
    visit_sorting(outer, block, window->partitionClause);
    visit_sorting(outer, block, window->orderClause);
    visit_expression(outer, block, window->startOffset, "a window");
    visit_expression(outer, block, window->endOffset, "a window");
  }
}

void visit_branches(Visit* outer, Block* block) {
  Bitmapset* read = entries_read(block->query);
  for (int i = bms_next_member(read, -1); i >= 0; i = bms_next_member(read, i)) visit_block(outer, block->child[i]);
  if (merges_rows(block->query)) visit_all_outputs(outer, block);
}

// Everything of a block that decides on its rows; its columns are visited where they are used.
void visit_block(Visit* outer, Block* block) {
  check_stack_depth();
  Query* query = block->query;
  if (query->setOperations != nullptr)
    visit_branches(outer, block);
  else
    visit_from(outer, block, reinterpret_cast<Node*>(query->jointree));
  if (query->groupingSets != NIL) {
    Visit inner = {outer->tree, outer->expanded, block, "the GROUP BY clause"};
    note_problem(&inner, "GROUPING SETS", InvalidOid, InvalidOid, "makes rows out of several groups");
  }
  visit_sorting(outer, block, query->groupClause);
  visit_sorting(outer, block, query->sortClause);
  if (query->distinctClause != NIL && !query->hasDistinctOn) visit_all_outputs(outer, block);
  visit_sorting(outer, block, query->distinctClause);
  visit_windows(outer, block);
  visit_expression(outer, block, query->havingQual, "the HAVING clause");
  visit_expression(outer, block, query->limitOffset, "the OFFSET clause");
  visit_expression(outer, block, query->limitCount, "the LIMIT clause");
  ListCell* cell;
  foreach (cell, query->targetList) {  // functions that return sets make rows
    auto* target = lfirst_node(TargetEntry, cell);
    if (query->hasTargetSRFs && expression_returns_set(reinterpret_cast<Node*>(target->expr)))
      visit_output(outer, block, target->resno);
  }
}

void visit_output(Visit* outer, Block* block, AttrNumber column) {
  if (bms_is_member(column, block->outputs)) return;
  block->outputs = bms_add_member(block->outputs, column);
  Query* query = block->query;
  if (query->setOperations != nullptr) {
    Bitmapset* read = entries_read(query);
    for (int i = bms_next_member(read, -1); i >= 0; i = bms_next_member(read, i))
      visit_output(outer, block->child[i], column);
    return;
  }
  TargetEntry* target = output_entry(block, column);
  if (target == nullptr) return;
  const char* clause = target->resjunk || target->resname == nullptr ? "an ORDER BY or GROUP BY clause"
                                                                     : psprintf("column \"%s\"", target->resname);
  visit_expression(outer, block, reinterpret_cast<Node*>(target->expr), clause);
}

bool same(const Problem* a, const Problem* b) {
  return strcmp(a->object, b->object) == 0 && strcmp(a->place, b->place) == 0 && strcmp(a->reason, b->reason) == 0;
}

bool keeps_rows(Node* node) {
  if (!IsA(node, SetOperationStmt)) return true;
  auto* operation = reinterpret_cast<SetOperationStmt*>(node);
  return operation->op == SETOP_UNION && operation->all && keeps_rows(operation->larg) && keeps_rows(operation->rarg);
}

}  // namespace

bool merges_rows(const Query* query) { return query->setOperations != nullptr && !keeps_rows(query->setOperations); }

void add_problem(Tree* tree, const Problem& problem) {
  ListCell* cell;
  foreach (cell, tree->problems)
    if (same(static_cast<Problem*>(lfirst(cell)), &problem)) return;
  auto* kept = static_cast<Problem*>(palloc(sizeof(Problem)));
  *kept = problem;
  tree->problems = lappend(tree->problems, kept);
}

Occurrence* occurrence_at(const Tree* tree, const Block* block, Index entry) {
  ListCell* cell;
  foreach (cell, tree->occurrences) {
    auto* occurrence = static_cast<Occurrence*>(lfirst(cell));
    if (occurrence->block == block && occurrence->entry == entry) return occurrence;
  }
  return nullptr;
}

Block* block_of(const Block* block, const SubLink* link) {
  ListCell* cell;
  foreach (cell, block->subselects) {
    auto* subselect = static_cast<Subselect*>(lfirst(cell));
    if (subselect->link == link) return subselect->block;
  }
  return nullptr;
}

const char* place_of(const Block* block) {
  if (!OidIsValid(block->view)) return "the table";
  return psprintf("%sview %s", block->of_view ? "" : "a sub-select in ", relation_name(block->view));
}

TargetEntry* output_entry(const Block* block, AttrNumber column) {
  return block->query->setOperations != nullptr ? nullptr : get_tle_by_resno(block->query->targetList, column);
}

Tree* read_tree(Relation view) {
  Expanded expanded = expand_view(view);
  auto* tree = static_cast<Tree*>(palloc0(sizeof(Tree)));
  tree->top = make_block(tree, &expanded, expanded.query, nullptr);
  Visit visit = {tree, &expanded, tree->top, nullptr};
  note_entries(&visit, tree->top);
  visit_block(&visit, tree->top);
  visit_all_outputs(&visit, tree->top);
  if (!OidIsValid(tree->top->view)) {  // a table's own columns, those to come included
    static_cast<Occurrence*>(linitial(tree->occurrences))->whole = true;
  }
  return tree;
}

}  // namespace conveyor
