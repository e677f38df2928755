// analyse_watch(relation, columns, documents, key_types, search_path): checks a key query and tells what it reads.
#include "analyse/changed_shape.hpp"
#include "analyse/table.hpp"
#include "analyse/walker.hpp"
#include "fetch/answer.hpp"
#include "fetch/feed.hpp"
#include "fetch/owner.hpp"

extern "C" {
#include "catalog/pg_collation.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "utils/queryenvironment.h"
}

namespace conveyor {

namespace {

constexpr const char* kExample = "SELECT id FROM changed";

struct References {
  List* levels;     // Query *: innermost first
  Bitmapset* used;  // columns of `changed`, from 1
  int columns;      // of `changed`
  bool met;         // `changed` is read at all
};

bool is_changed(const RangeTblEntry* entry) {
  return entry->rtekind == RTE_NAMEDTUPLESTORE && strcmp(entry->enrname, "changed") == 0;
}

bool collect(Node* node, void* context);

// A column of `changed`, of a join that has one, or of something else.
bool collect_column(References* references, int varno, AttrNumber column, int levels_up) {
  const Query* query = static_cast<Query*>(list_nth(references->levels, levels_up));
  const RangeTblEntry* entry = rt_fetch(varno, query->rtable);
  if (is_changed(entry)) {
    if (column > 0) references->used = bms_add_member(references->used, column);
    if (column == 0) references->used = bms_add_range(references->used, 1, references->columns);
    return false;
  }
  List* expressions = compat::entry_expressions(entry);
  if (expressions == NIL) return false;
  // What stands there is written as seen from the query that the entry is in.
  List* inner = references->levels;
  references->levels = list_copy_tail(inner, levels_up);
  bool stop =
      collect(column > 0 ? static_cast<Node*>(list_nth(expressions, column - 1)) : reinterpret_cast<Node*>(expressions),
              references);
  references->levels = inner;
  return stop;
}

bool collect(Node* node, void* context) {
  if (node == nullptr) return false;
  References* references = static_cast<References*>(context);
  if (IsA(node, Var)) {
    const Var* var = reinterpret_cast<Var*>(node);
    return collect_column(references, var->varno, var->varattno, static_cast<int>(var->varlevelsup));
  }
  if (IsA(node, Query)) {
    Query* query = reinterpret_cast<Query*>(node);
    ListCell* cell;
    foreach (cell, query->rtable) references->met = references->met || is_changed(lfirst_node(RangeTblEntry, cell));
    references->levels = lcons(query, references->levels);
    bool stop = query_tree_walker(query, as_walker(collect), context, QTW_IGNORE_JOINALIASES);
    references->levels = list_delete_first(references->levels);
    return stop;
  }
  return expression_tree_walker(node, as_walker(collect), context);
}

Query* parse_documents(const char* documents, TupleDesc shape) {
  List* statements = raw_parser(documents, RAW_PARSE_DEFAULT);
  if (list_length(statements) != 1 || !IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt))
    ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("documents of a watch must be one SELECT"),
                    errhint("For example: %s", kExample)));
  // It becomes a sub-select, so nothing may follow it.
  const char* wrapped = psprintf("SELECT * FROM (\n%s\n) AS q", documents);
  statements = raw_parser(wrapped, RAW_PARSE_DEFAULT);
  Query* outer = parse_analyze_fixedparams(linitial_node(RawStmt, statements), wrapped, nullptr, 0,
                                           environment_with_changed(shape, 0));
  return linitial_node(RangeTblEntry, outer->rtable)->subquery;
}

void require_types(const Query* query, const Oid* types, int count) {
  int column = 0;
  ListCell* cell;
  foreach (cell, query->targetList) {
    const TargetEntry* target = lfirst_node(TargetEntry, cell);
    if (target->resjunk) continue;
    Oid type = exprType(reinterpret_cast<Node*>(target->expr));
    if (column < count && !can_coerce_type(1, &type, &types[column], COERCION_ASSIGNMENT))
      ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                      errmsg("documents of a watch return type %s for a key of type %s", format_type_be(type),
                             format_type_be(types[column])),
                      errhint("Return the document's key, or cast column %d to %s.", column + 1,
                              format_type_be(types[column]))));
    column++;
  }
  if (column != count)
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("documents of a watch return %d columns, the key of the feed has %d", column, count),
                    errhint("Return the columns of the document's key in their order and nothing else.")));
}

Oid* type_arguments(ArrayType* array, int* count) {
  Datum* items;
  deconstruct_array(array, OIDOID, sizeof(Oid), true, TYPALIGN_INT, &items, nullptr, count);
  Oid* types = static_cast<Oid*>(palloc(sizeof(Oid) * (*count + 1)));
  for (int i = 0; i < *count; i++) types[i] = DatumGetObjectId(items[i]);
  return types;
}

void require_arguments(FunctionCallInfo fcinfo) {
  for (int i = 0; i < 4; i++)
    if (PG_ARGISNULL(i))
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                      errmsg("relation, columns, documents and key types of a watch must not be null")));
}

// With the settings and the search path that the key query will run with.
Query* parse_in_path(FunctionCallInfo fcinfo, const char* documents, TupleDesc shape) {
  if (PG_NARGS() < 5 || PG_ARGISNULL(4)) return parse_documents(documents, shape);
  int level = settings_enter_pinned();
  set_config_option("search_path", text_to_cstring(PG_GETARG_TEXT_PP(4)), PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
                    true, 0, false);
  Query* query = parse_documents(documents, shape);
  settings_leave(level);
  return query;
}

}  // namespace

}  // namespace conveyor

CONVEYOR_FUNCTION(analyse_watch) {
  using namespace conveyor;
  require_arguments(fcinfo);
  Oid relation = PG_GETARG_OID(0);
  if (get_rel_name(relation) == nullptr)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", relation)));
  require_capturable(relation);

  References references = {};
  char** columns = key_arguments(fcinfo, 1, &references.columns);
  TupleDesc shape = shape_of_changed(relation, columns, references.columns);
  Query* query = parse_in_path(fcinfo, text_to_cstring(PG_GETARG_TEXT_PP(2)), shape);
  int keys;
  Oid* types = type_arguments(PG_GETARG_ARRAYTYPE_P(3), &keys);
  require_types(query, types, keys);
  collect(reinterpret_cast<Node*>(query), &references);
  if (!references.met)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("documents of a watch do not read the relation \"changed\""),
                    errdetail("Each change would touch all documents."), errhint("For example: %s", kExample)));

  Datum* names = static_cast<Datum*>(palloc(sizeof(Datum) * (references.columns + 1)));
  int count = 0;
  for (int i = 0; i < references.columns; i++)
    if (bms_is_member(i + 1, references.used)) names[count++] = CStringGetTextDatum(columns[i]);
  PG_RETURN_ARRAYTYPE_P(construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT));
}
