#include "derive/expand.hpp"

#include "analyse/walker.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
}

namespace conveyor {

namespace {

// Uses of WITH queries multiply; nobody waits for a view that has become this large.
constexpr int kManyQueries = 1000;

struct Work {
  Expanded* expanded;
  List* levels;  // Query *: innermost first
  int queries;
};

void note_entries(Node* node, Bitmapset** entries) {
  if (node == nullptr) return;
  if (IsA(node, RangeTblRef)) {
    *entries = bms_add_member(*entries, reinterpret_cast<RangeTblRef*>(node)->rtindex);
  } else if (IsA(node, JoinExpr)) {
    note_entries(reinterpret_cast<JoinExpr*>(node)->larg, entries);
    note_entries(reinterpret_cast<JoinExpr*>(node)->rarg, entries);
  } else if (IsA(node, FromExpr)) {
    ListCell* cell;
    foreach (cell, reinterpret_cast<FromExpr*>(node)->fromlist) note_entries(static_cast<Node*>(lfirst(cell)), entries);
  } else if (IsA(node, SetOperationStmt)) {
    note_entries(reinterpret_cast<SetOperationStmt*>(node)->larg, entries);
    note_entries(reinterpret_cast<SetOperationStmt*>(node)->rarg, entries);
  }
}

Query* own_query(Expanded* expanded, Relation view) {
  Query* query = static_cast<Query*>(copyObjectImpl(get_view_query(view)));
  AcquireRewriteLocks(query, false, false);
  expanded->queries = lappend(expanded->queries, query);
  expanded->owners = lappend_oid(expanded->owners, RelationGetRelid(view));
  return query;
}

void make_subselect(RangeTblEntry* entry, Query* query) {
  entry->rtekind = RTE_SUBQUERY;
  entry->subquery = query;
  entry->relid = InvalidOid;
  entry->relkind = 0;
  entry->rellockmode = 0;
  entry->inh = false;
}

void put_view(Work* work, RangeTblEntry* entry) {
  Relation view = table_open(entry->relid, AccessShareLock);
  make_subselect(entry, own_query(work->expanded, view));
  table_close(view, NoLock);
}

void put_with_query(Work* work, RangeTblEntry* entry) {
  auto* owner = static_cast<Query*>(list_nth(work->levels, static_cast<int>(entry->ctelevelsup)));
  ListCell* cell;
  foreach (cell, owner->cteList) {
    auto* with = lfirst_node(CommonTableExpr, cell);
    if (strcmp(with->ctename, entry->ctename) != 0) continue;
    if (with->cterecursive || entry->self_reference) return;
    auto* query = static_cast<Query*>(copyObjectImpl(with->ctequery));
    // What the WITH query sees of the outside is as many levels further away now.
    IncrementVarSublevelsUp(reinterpret_cast<Node*>(query), static_cast<int>(entry->ctelevelsup), 1);
    make_subselect(entry, query);
    return;
  }
  elog(ERROR, "could not find WITH query \"%s\"", entry->ctename);
}

void expand(Work* work, Query* query);

bool expand_inside(Node* node, void* context) {
  if (node == nullptr) return false;
  if (IsA(node, Query)) {
    expand(static_cast<Work*>(context), reinterpret_cast<Query*>(node));
    return false;
  }
  return expression_tree_walker(node, as_walker(expand_inside), context);
}

void expand(Work* work, Query* query) {
  check_stack_depth();
  CHECK_FOR_INTERRUPTS();
  if (++work->queries > kManyQueries)
    ereport(ERROR, (errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
                    errmsg("view is too large to be followed: it has more than %d sub-selects", kManyQueries),
                    errdetail("Views and WITH queries count once for each place where they are used.")));
  work->levels = lcons(query, work->levels);
  Bitmapset* read = entries_read(query);
  for (int i = bms_next_member(read, -1); i >= 0; i = bms_next_member(read, i)) {
    RangeTblEntry* entry = rt_fetch(i, query->rtable);
    if (entry->rtekind == RTE_CTE) put_with_query(work, entry);
    if (entry->rtekind == RTE_RELATION && get_rel_relkind(entry->relid) == RELKIND_VIEW) put_view(work, entry);
    if (entry->rtekind == RTE_SUBQUERY) expand(work, entry->subquery);
  }
  query_tree_walker(query, as_walker(expand_inside), work,
                    QTW_IGNORE_RT_SUBQUERIES | QTW_IGNORE_CTE_SUBQUERIES | QTW_IGNORE_JOINALIASES);
  work->levels = list_delete_first(work->levels);
}

// SELECT * FROM table, for documents that are the rows of a table.
Query* table_query(Relation table) {
  TupleDesc shape = RelationGetDescr(table);
  auto* entry = makeNode(RangeTblEntry);
  entry->rtekind = RTE_RELATION;
  entry->relid = RelationGetRelid(table);
  entry->relkind = table->rd_rel->relkind;
  entry->rellockmode = AccessShareLock;
  entry->inh = true;
  entry->inFromCl = true;
  entry->eref = makeAlias(RelationGetRelationName(table), NIL);
  auto* reference = makeNode(RangeTblRef);
  reference->rtindex = 1;
  auto* query = makeNode(Query);
  query->commandType = CMD_SELECT;
  query->canSetTag = true;
  query->rtable = list_make1(entry);
  query->jointree = makeFromExpr(list_make1(reference), nullptr);
  for (int i = 0; i < shape->natts; i++) {
    Form_pg_attribute column = TupleDescAttr(shape, i);
    auto number = static_cast<AttrNumber>(i + 1);
    entry->eref->colnames = lappend(entry->eref->colnames, makeString(pstrdup(NameStr(column->attname))));
    Node* value =
        column->attisdropped
            ? reinterpret_cast<Node*>(makeNullConst(INT4OID, -1, InvalidOid))
            : reinterpret_cast<Node*>(makeVar(1, number, column->atttypid, column->atttypmod, column->attcollation, 0));
    query->targetList = lappend(query->targetList, makeTargetEntry(reinterpret_cast<Expr*>(value), number,
                                                                   pstrdup(NameStr(column->attname)), false));
  }
  return query;
}

}  // namespace

Bitmapset* entries_read(const Query* query) {
  Bitmapset* entries = nullptr;
  if (query->setOperations != nullptr)
    note_entries(query->setOperations, &entries);
  else
    note_entries(reinterpret_cast<Node*>(query->jointree), &entries);
  return entries;
}

Expanded expand_view(Relation view) {
  Expanded expanded = {};
  if (view->rd_rel->relkind != RELKIND_VIEW) {
    expanded.query = table_query(view);
    return expanded;
  }
  expanded.query = own_query(&expanded, view);
  Work work = {&expanded, NIL, 0};
  expand(&work, expanded.query);
  return expanded;
}

}  // namespace conveyor
