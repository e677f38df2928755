// analyse_target(query, search_path): what a query returns whose rows are compared with a job's source.
#include "compat.hpp"
#include "fetch/owner.hpp"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
}

namespace conveyor {

namespace {

constexpr const char* kExample = "Give one SELECT, for example: SELECT id, total FROM shop.orders";

RawStmt* only_select(const char* text) {
  List* statements = raw_parser(text, RAW_PARSE_DEFAULT);
  if (list_length(statements) != 1)
    ereport(ERROR, errcode(ERRCODE_SYNTAX_ERROR),
            errmsg("target query must be one statement, not %d", list_length(statements)), errhint("%s", kExample));
  RawStmt* raw = linitial_node(RawStmt, statements);
  if (!IsA(raw->stmt, SelectStmt) || reinterpret_cast<SelectStmt*>(raw->stmt)->intoClause != nullptr)
    ereport(ERROR, errcode(ERRCODE_SYNTAX_ERROR), errmsg("target query must be a SELECT"), errhint("%s", kExample));
  return raw;
}

// Positions in the query are not positions in the statement that called us.
void place_error(void* query) {
  int position = geterrposition();
  if (position <= 0) return;
  errposition(0);
  internalerrposition(position);
  internalerrquery(static_cast<const char*>(query));
}

Query* analysed(RawStmt* raw, char* text) {
  ErrorContextCallback callback = {error_context_stack, place_error, text};
  error_context_stack = &callback;
  Query* query = parse_analyze_fixedparams(raw, text, nullptr, 0, nullptr);
  error_context_stack = callback.previous;
  return query;
}

// The statement without what comes behind it: it will stand in parentheses.
char* statement_text(const RawStmt* raw, const char* text) {
  const char* begin = text + raw->stmt_location;
  return raw->stmt_len == 0 ? pstrdup(begin) : pnstrdup(begin, raw->stmt_len);
}

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
  RawStmt* raw = only_select(given);
  int level = NewGUCNestLevel();
  set_config_option("search_path", with_temporary_last(text_to_cstring(PG_GETARG_TEXT_PP(1))), PGC_USERSET,
                    PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  Query* query = analysed(raw, given);
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
