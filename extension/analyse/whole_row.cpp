// whole_row_tables(view): the tables of which a view, or a view in it, takes whole rows, as in to_jsonb(c): a column
// that is added to one, dropped or renamed is a change of the documents, although no row changes.
#include "analyse/walker.hpp"

extern "C" {
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
}

namespace conveyor {

namespace {

struct Search {
  List* levels;  // Query *: innermost first
  Oid view;      // whose query is being walked
  List* found;   // Oid
};

void search_view(Oid view, List** found);

bool search(Node* node, void* context) {
  if (node == nullptr) return false;
  Search* here = static_cast<Search*>(context);
  if (IsA(node, Var)) {
    const Var* var = reinterpret_cast<Var*>(node);
    if (var->varattno != InvalidAttrNumber) return false;
    const Query* query = static_cast<Query*>(list_nth(here->levels, static_cast<int>(var->varlevelsup)));
    const RangeTblEntry* entry = rt_fetch(var->varno, query->rtable);
    if (entry->rtekind == RTE_RELATION && get_rel_relkind(entry->relid) != RELKIND_VIEW)
      here->found = list_append_unique_oid(here->found, entry->relid);
    return false;
  }
  if (IsA(node, RangeTblEntry)) {
    const RangeTblEntry* entry = reinterpret_cast<RangeTblEntry*>(node);
    // A view's stored query may list the view itself, as OLD and NEW of its rule.
    if (entry->rtekind == RTE_RELATION && entry->relid != here->view && get_rel_relkind(entry->relid) == RELKIND_VIEW)
      search_view(entry->relid, &here->found);
    return false;
  }
  if (IsA(node, Query)) {
    Query* query = reinterpret_cast<Query*>(node);
    here->levels = lcons(query, here->levels);
    bool stop = query_tree_walker(query, as_walker(search), context, QTW_EXAMINE_RTES_BEFORE);
    here->levels = list_delete_first(here->levels);
    return stop;
  }
  return expression_tree_walker(node, as_walker(search), context);
}

void search_view(Oid view, List** found) {
  check_stack_depth();
  Relation relation = relation_open(view, AccessShareLock);
  if (relation->rd_rel->relkind == RELKIND_VIEW) {
    Search inner = {NIL, view, *found};
    search(static_cast<Node*>(copyObjectImpl(get_view_query(relation))), &inner);
    *found = inner.found;
  } else {
    *found = list_append_unique_oid(*found, view);  // a feed of a table: its rows are the documents
  }
  relation_close(relation, NoLock);
}

}  // namespace

}  // namespace conveyor

CONVEYOR_FUNCTION(whole_row_tables) {
  using namespace conveyor;
  List* found = NIL;
  search_view(PG_GETARG_OID(0), &found);
  Datum* oids = static_cast<Datum*>(palloc(sizeof(Datum) * (list_length(found) + 1)));
  for (int i = 0; i < list_length(found); i++) oids[i] = ObjectIdGetDatum(list_nth_oid(found, i));
  PG_RETURN_ARRAYTYPE_P(construct_array(oids, list_length(found), OIDOID, sizeof(Oid), true, TYPALIGN_INT));
}
