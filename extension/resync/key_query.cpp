#include "resync/key_query.hpp"

#include "analyse/select.hpp"
#include "analyse/walker.hpp"

extern "C" {
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "rewrite/rewriteHandler.h"
}

namespace conveyor {

namespace {

constexpr const char* kWhat = "query of a resync";
constexpr const char* kExample = "Give one SELECT, for example: SELECT id FROM shop.orders WHERE status = 'new'";

// Volatile, but they change nothing and wait for nothing: the keys are another sample each time, and that is all.
constexpr Oid kRandom = 1598;  // random(), whose F_ name changed in 17
constexpr Oid kHarmless[] = {kRandom, F_GEN_RANDOM_UUID, F_CLOCK_TIMESTAMP, F_TIMEOFDAY};

struct Examination {
  const char* text;
  List* findings;
  List* volatiles;  // Oid: those that have been reported
};

int position_of(const char* text, int location) { return location < 0 ? 0 : pg_mbstrlen_with_len(text, location) + 1; }

void add(Examination* examination, bool error, int position, const char* problem, const char* remedy) {
  auto* finding = static_cast<Finding*>(palloc(sizeof(Finding)));
  *finding = {error, problem, remedy, position};
  examination->findings = lappend(examination->findings, finding);
}

struct VolatileCheck {
  Examination* examination;
  int location;
};

bool check_function(Oid function, void* context) {
  auto* check = static_cast<VolatileCheck*>(context);
  Examination* examination = check->examination;
  if (func_volatile(function) != PROVOLATILE_VOLATILE || list_member_oid(examination->volatiles, function))
    return false;
  examination->volatiles = lappend_oid(examination->volatiles, function);
  const char* name = get_func_name(function);
  const char* place = check->location < 0 ? ", in a view that it reads," : ",";
  int position = position_of(examination->text, check->location);
  for (Oid harmless : kHarmless)
    if (function == harmless) {
      add(examination, false, position,
          psprintf("%s uses the volatile function %s()%s so it returns other keys each time", kWhat, name, place),
          "That is meant for a sample; else compare with a constant.");
      return false;
    }
  add(examination, true, position,
      psprintf("%s uses the volatile function %s()%s which may do more than return keys", kWhat, name, place),
      psprintf("If it changes nothing, say so: ALTER FUNCTION %s STABLE; else leave it out.", name));
  return false;
}

bool find_surprises(Node* node, void* context) {
  if (node == nullptr) return false;
  auto* examination = static_cast<Examination*>(context);
  if (IsA(node, Query)) {
    auto* query = reinterpret_cast<Query*>(node);
    ListCell* cell;
    foreach (cell, query->cteList) {
      const CommonTableExpr* entry = lfirst_node(CommonTableExpr, cell);
      if (IsA(entry->ctequery, Query) && reinterpret_cast<Query*>(entry->ctequery)->commandType != CMD_SELECT)
        add(examination, true, position_of(examination->text, entry->location),
            psprintf("%s must not change anything: \"%s\" does", kWhat, entry->ctename), kExample);
    }
    if (query->rowMarks != NIL)
      add(examination, true, 0, psprintf("%s must not lock rows", kWhat), "Leave FOR UPDATE and the like out.");
    return query_tree_walker(query, as_walker(find_surprises), context, 0);
  }
  VolatileCheck check = {examination, exprLocation(node)};
  check_functions_in_node(node, check_function, &check);
  return expression_tree_walker(node, as_walker(find_surprises), context);
}

bool is_text(Oid type) { return TypeCategory(type) == TYPCATEGORY_STRING || type == UNKNOWNOID; }

const char* key_columns(const Feed* feed) {
  StringInfoData names;
  initStringInfo(&names);
  for (int i = 0; i < feed->keys; i++)
    appendStringInfo(&names, "%s%s", i == 0 ? "" : ", ", quote_identifier(feed->key[i].name));
  return names.data;
}

// The columns are taken in their order, whatever they are called.
void match_columns(Examination* examination, KeyQuery* query, const Query* analysed, const Feed* feed) {
  List* columns = NIL;
  ListCell* cell;
  foreach (cell, analysed->targetList)
    if (!lfirst_node(TargetEntry, cell)->resjunk) columns = lappend(columns, lfirst_node(TargetEntry, cell)->expr);
  query->columns = list_length(columns);
  const char* remedy = psprintf("Return the key's columns in their order and nothing else: SELECT %s FROM ...",
                                feed == nullptr ? "id" : key_columns(feed));
  if (query->columns == 0) {
    add(examination, true, 0, psprintf("%s returns no column", kWhat), remedy);
    return;
  }
  if (feed == nullptr) return;
  if (query->columns == 1 && feed->keys > 1 && is_text(exprType(static_cast<Node*>(linitial(columns))))) {
    query->ids = true;
    return;
  }
  if (query->columns != feed->keys) {
    add(examination, true, 0,
        psprintf("%s returns %d columns, the key of feed \"%s\" has %d", kWhat, query->columns, feed->name, feed->keys),
        remedy);
    return;
  }
  for (int i = 0; i < feed->keys; i++) {
    auto* expression = static_cast<Node*>(list_nth(columns, i));
    Oid type = exprType(expression);
    if (is_text(type) || can_coerce_type(1, &type, &feed->key[i].type, COERCION_ASSIGNMENT)) continue;
    add(examination, true, position_of(examination->text, exprLocation(expression)),
        psprintf("column %d of the %s is of type %s, the key's column \"%s\" of type %s", i + 1, kWhat,
                 format_type_be(type), feed->key[i].name, format_type_be(feed->key[i].type)),
        remedy);
  }
}

}  // namespace

KeyQuery examine_key_query(const char* text, const Feed* feed) {
  KeyQuery query = {};
  RawStmt* raw = only_select(text, kWhat, kExample);
  query.statement = statement_text(raw, text);
  Query* analysed = analyse_select(raw, text);
  Examination examination = {text, NIL, NIL};
  match_columns(&examination, &query, analysed, feed);
  // With the views that it reads in place of their names.
  ListCell* cell;
  List* rewritten = QueryRewrite(static_cast<Query*>(copyObjectImpl(analysed)));
  foreach (cell, rewritten) find_surprises(static_cast<Node*>(lfirst(cell)), &examination);
  query.findings = examination.findings;
  return query;
}

const char* key_query_sql(const KeyQuery* query, const Feed* feed, bool one_row) {
  StringInfoData sql;
  initStringInfo(&sql);
  appendStringInfoString(&sql, "SELECT ");
  if (feed == nullptr) {
    appendStringInfoString(&sql, "*");
  } else if (query->ids) {
    appendStringInfoString(&sql, "q.k1::pg_catalog.text");
  } else {
    for (int i = 0; i < feed->keys; i++)
      appendStringInfo(&sql, "%sCAST(q.k%d AS %s)", i == 0 ? "" : ", ", i + 1, feed->key[i].type_name);
  }
  appendStringInfo(&sql, " FROM (\n%s\n) AS q", query->statement);
  for (int i = 0; i < query->columns; i++) appendStringInfo(&sql, "%sk%d", i == 0 ? " (" : ", ", i + 1);
  appendStringInfoString(&sql, query->columns == 0 ? "" : ")");
  if (one_row) appendStringInfoString(&sql, " LIMIT 1");
  return sql.data;
}

bool read_only_enter() {
  bool before = XactReadOnly;
  XactReadOnly = true;
  return before;
}

void read_only_leave(bool before) { XactReadOnly = before; }

void try_key_query(const KeyQuery* query, const Feed* feed) {
  SPI_connect();
  bool before = read_only_enter();
  if (SPI_execute(key_query_sql(query, feed, true), true, 1) != SPI_OK_SELECT) elog(ERROR, "could not try the query");
  read_only_leave(before);
  SPI_finish();
}

}  // namespace conveyor
