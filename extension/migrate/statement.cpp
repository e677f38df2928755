#include "migrate/statement.hpp"

#include "fetch/comparison.hpp"
#include "fetch/owner.hpp"
#include "migrate/parse.hpp"

extern "C" {
#include "catalog/pg_proc.h"
#include "utils/syscache.h"
}

namespace conveyor::migrate {

namespace {

constexpr const char* kSource = "s";

// Adds the value of a key column's text; the settings under which texts are written must be in force.
int add_key_value(Parameters* parameters, const KeyColumn& column, const char* text) {
  if (text == nullptr) {
    parameters->add(column.type, 0, true);
    return parameters->count;
  }
  Oid function, parameter;
  getTypeInputInfo(column.type, &function, &parameter);
  parameters->add(column.type, OidInputFunctionCall(function, const_cast<char*>(text), parameter, -1), false);
  return parameters->count;
}

// The same for the columns from `from` on; returns the number of the first.
int add_key(Parameters* parameters, const Job* job, char** texts, int from) {
  int first = parameters->count + 1;
  for (int i = from; i < job->keys; i++) add_key_value(parameters, job->key[i], texts == nullptr ? nullptr : texts[i]);
  return first;
}

void append_equal(StringInfo sql, const Job* job, Parameters* parameters, int column, const char* text) {
  int number = add_key_value(parameters, job->key[column], text);
  appendStringInfo(sql, " AND %s.%s %s $%d", kSource, quote_identifier(job->key[column].name), job->key[column].equal,
                   number);
}

// " AND …" for each condition. What both ends have in common is compared by equality, and of the first column in which
// they differ the bounds are spelled out: of a row comparison the planner looks at the first column only, and it does
// not see that two of them enclose a range.
void append_range(StringInfo sql, const Job* job, Parameters* parameters, const Range* range) {
  if (range->single) {
    for (int i = 0; i < job->keys; i++) append_equal(sql, job, parameters, i, range->last[i]);
    return;
  }
  int common = 0;
  if (range->first != nullptr && range->last != nullptr)
    while (common < job->keys - 1 && strcmp(range->first[common], range->last[common]) == 0) {
      append_equal(sql, job, parameters, common, range->last[common]);
      common++;
    }
  const KeyColumn* key = job->key + common;
  int keys = job->keys - common;
  int first = 0, last = 0;
  if (range->first != nullptr) {
    first = add_key(parameters, job, range->first, common);
    appendStringInfoString(sql, " AND ");
    append_comparison(sql, key, keys, kSource, nullptr, true, false, first);
  }
  if (range->last != nullptr) {
    last = add_key(parameters, job, range->last, common);
    appendStringInfoString(sql, " AND ");
    append_comparison(sql, key, keys, kSource, nullptr, false, true, last);
  }
  if (keys == 1) return;
  const char* column = quote_identifier(key[0].name);
  if (first != 0) appendStringInfo(sql, " AND %s.%s %s $%d", kSource, column, key[0].greater_equal, first);
  if (last != 0) appendStringInfo(sql, " AND %s.%s %s $%d", kSource, column, key[0].less_equal, last);
}

void append_key_texts(StringInfo sql, const Job* job) {
  appendStringInfoString(sql, "SELECT ARRAY[");
  for (int i = 0; i < job->keys; i++)
    appendStringInfo(sql, "%s%s.%s::pg_catalog.text", i == 0 ? "" : ", ", kSource, quote_identifier(job->key[i].name));
  appendStringInfo(sql, "]::pg_catalog.text[] FROM %s AS %s WHERE true", job->source_name, kSource);
}

void append_order(StringInfo sql, const Job* job, const char* direction) {
  appendStringInfoString(sql, " ORDER BY ");
  for (int i = 0; i < job->keys; i++)
    appendStringInfo(sql, "%s%s.%s%s", i == 0 ? "" : ", ", kSource, quote_identifier(job->key[i].name), direction);
}

char* definition_of_batch(const Job* job, Parameters* parameters, const Range* range) {
  StringInfoData sql;
  initStringInfo(&sql);
  appendStringInfo(&sql, "SELECT %s.* FROM %s AS %s WHERE true", kSource, job->source_name, kSource);
  append_range(&sql, job, parameters, range);
  if (job->condition != nullptr) appendStringInfo(&sql, " AND (\n%s\n)", job->condition);
  return sql.data;
}

// f($1::bigint, $2::bigint): the types that it is declared with, so that no other function of this name is meant.
char* call_text(Oid function, int arguments) {
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(tuple))
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("the function that the job calls does not exist any more")));
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
  StringInfoData sql;
  initStringInfo(&sql);
  appendStringInfo(&sql, "%s %s(", form->prokind == PROKIND_PROCEDURE ? "CALL" : "SELECT",
                   quote_qualified_identifier(get_namespace_name(form->pronamespace), NameStr(form->proname)));
  for (int i = 0; i < arguments && i < form->pronargs; i++)
    appendStringInfo(&sql, "%s$%d::%s", i == 0 ? "" : ", ", i + 1,
                     format_type_be_qualified(form->proargtypes.values[i]));
  appendStringInfoChar(&sql, ')');
  ReleaseSysCache(tuple);
  return sql.data;
}

}  // namespace

char* with_batch(const char* statement, const char* name, const char* definition) {
  int place = with_place(statement);
  if (place < 0) return psprintf("WITH %s AS (%s)\n%s", name, definition, statement);
  return psprintf("%.*s%s AS (%s),\n%s", place, statement, name, definition, statement + place);
}

Sql batch_sql(const Job* job, const Range* range, char** first_key) {
  Sql sql = {};
  int level = settings_enter_pinned();
  if (job->statement != nullptr) {
    sql.text = with_batch(job->statement, "batch", definition_of_batch(job, &sql.parameters, range));
  } else {
    add_key(&sql.parameters, job, first_key, 0);
    add_key(&sql.parameters, job, range->last, 0);
    sql.text = call_text(job->call, 2 * job->keys);
  }
  settings_leave(level);
  return sql;
}

Sql example_sql(const Job* job) {
  char** nothing = static_cast<char**>(palloc0(sizeof(char*) * job->keys));
  // One column's comparison each, since nothing is known of what both ends have in common.
  Sql sql = {};
  StringInfoData definition;
  initStringInfo(&definition);
  appendStringInfo(&definition, "SELECT %s.* FROM %s AS %s WHERE ", kSource, job->source_name, kSource);
  int first = add_key(&sql.parameters, job, nothing, 0);
  append_comparison(&definition, job->key, job->keys, kSource, nullptr, true, false, first);
  if (job->condition != nullptr) appendStringInfo(&definition, " AND (\n%s\n)", job->condition);
  sql.text = job->statement != nullptr ? with_batch(job->statement, "batch", definition.data) : definition.data;
  return sql;
}

Sql gone_example_sql(const Job* job, const char* statement) {
  StringInfoData definition;
  initStringInfo(&definition);
  appendStringInfoString(&definition, "SELECT ");
  for (int i = 0; i < job->keys; i++)
    appendStringInfo(&definition, "%s%s.%s", i == 0 ? "" : ", ", kSource, quote_identifier(job->key[i].name));
  appendStringInfo(&definition, " FROM %s AS %s WHERE false", job->source_name, kSource);
  Sql sql = {};
  sql.text = with_batch(statement, "gone", definition.data);
  return sql;
}

Sql nth_key_sql(const Job* job, const Range* range, int64 number) {
  Sql sql = {};
  StringInfoData text;
  initStringInfo(&text);
  append_key_texts(&text, job);
  int level = settings_enter_pinned();
  append_range(&text, job, &sql.parameters, range);
  settings_leave(level);
  append_order(&text, job, "");
  appendStringInfo(&text, " OFFSET " INT64_FORMAT " LIMIT 1", number - 1);
  sql.text = text.data;
  return sql;
}

Sql count_sql(const Job* job, const Range* range) {
  Sql sql = {};
  StringInfoData text;
  initStringInfo(&text);
  appendStringInfo(&text, "SELECT pg_catalog.count(*) FROM %s AS %s WHERE true", job->source_name, kSource);
  int level = settings_enter_pinned();
  append_range(&text, job, &sql.parameters, range);
  settings_leave(level);
  sql.text = text.data;
  return sql;
}

Sql last_key_sql(const Job* job) {
  Sql sql = {};
  StringInfoData text;
  initStringInfo(&text);
  append_key_texts(&text, job);
  append_order(&text, job, " DESC");
  appendStringInfoString(&text, " LIMIT 1");
  sql.text = text.data;
  return sql;
}

Sql all_rows_sql(const Job* job) {
  Sql sql = {};
  sql.text = psprintf("SELECT FROM %s", job->source_name);
  return sql;
}

}  // namespace conveyor::migrate
