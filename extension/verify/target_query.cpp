// analyse_target(query, search_path): what a query returns whose rows are compared with a job's source.
#include "analyse/select.hpp"
#include "compat.hpp"
#include "fetch/owner.hpp"

extern "C" {
#include "nodes/nodeFuncs.h"
}

namespace conveyor {

namespace {

constexpr const char* kExample = "Give one SELECT, for example: SELECT id, total FROM shop.orders";

void require_readable(const Query* query) {
  if (query->hasModifyingCTE)
    ereport(ERROR, errcode(ERRCODE_SYNTAX_ERROR), errmsg("target query must not change anything"),
            errhint("%s", kExample));
  if (query->rowMarks != NIL)
    ereport(ERROR, errcode(ERRCODE_SYNTAX_ERROR), errmsg("target query must not lock rows"),
            errhint("Leave FOR UPDATE and the like out."));
}

ArrayType* oids(const Datum* values, int count) {
  return construct_array(const_cast<Datum*>(values), count, OIDOID, sizeof(Oid), true, TYPALIGN_INT);
}

}  // namespace

CONVEYOR_FUNCTION(analyse_target) {
  char* given = text_to_cstring(PG_GETARG_TEXT_PP(0));
  RawStmt* raw = only_select(given, "target query", kExample);
  int level = NewGUCNestLevel();
  set_config_option("search_path", with_temporary_last(text_to_cstring(PG_GETARG_TEXT_PP(1))), PGC_USERSET,
                    PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  Query* query = analyse_select(raw, given);
  AtEOXact_GUC(true, level);
  require_readable(query);

  int count = 0;
  auto room = static_cast<Size>(list_length(query->targetList) + 1);
  auto* names = static_cast<Datum*>(palloc(sizeof(Datum) * room));
  auto* types = static_cast<Datum*>(palloc(sizeof(Datum) * room));
  auto* collations = static_cast<Datum*>(palloc(sizeof(Datum) * room));
  ListCell* cell;
  foreach (cell, query->targetList) {
    const TargetEntry* entry = lfirst_node(TargetEntry, cell);
    if (entry->resjunk) continue;
    auto* expression = reinterpret_cast<Node*>(entry->expr);
    names[count] = CStringGetTextDatum(entry->resname);
    types[count] = ObjectIdGetDatum(exprType(expression));
    collations[count] = ObjectIdGetDatum(exprCollation(expression));
    count++;
  }

  TupleDesc shape;
  if (get_call_result_type(fcinfo, nullptr, &shape) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "return type must be a row type");
  Datum values[] = {CStringGetTextDatum(statement_text(raw, given)),
                    PointerGetDatum(construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT)),
                    PointerGetDatum(oids(types, count)), PointerGetDatum(oids(collations, count))};
  bool nulls[lengthof(values)] = {};
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}

}  // namespace conveyor
