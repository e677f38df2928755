// document_ids(delivery, texts): what ids a list means.
#include "resync/ids.hpp"

#include "fetch/answer.hpp"
#include "fetch/keys.hpp"
#include "fetch/owner.hpp"
#include "fetch/query.hpp"

extern "C" {
#include "lib/stringinfo.h"
}

namespace conveyor {

namespace {

ArrayType* empty_texts() { return construct_empty_array(TEXTOID); }

}  // namespace

// As a query does it for the feed's view: what a cast to text makes of a value is nobody else's to say.
void id_writer_init(IdWriter* writer, const Feed* feed) {
  StringInfoData sql;
  initStringInfo(&sql);
  char** names = static_cast<char**>(palloc(sizeof(char*) * feed->keys));
  for (int i = 0; i < feed->keys; i++) names[i] = psprintf("k%d", i + 1);
  appendStringInfoString(&sql, "SELECT pg_catalog.array_agg(");
  append_id(&sql, feed, "v", names);
  appendStringInfoString(&sql, ") FROM ROWS FROM (");
  for (int i = 0; i < feed->keys; i++) appendStringInfo(&sql, "%spg_catalog.unnest($%d)", i == 0 ? "" : ", ", i + 1);
  appendStringInfoString(&sql, ") AS v(");
  for (int i = 0; i < feed->keys; i++) appendStringInfo(&sql, "%s%s", i == 0 ? "" : ", ", names[i]);
  appendStringInfoChar(&sql, ')');
  writer->feed = feed;
  writer->plan = prepare_query(feed, sql.data, 1, true, InvalidOid);
}

Datum ids_of(const IdWriter* writer, Datum* arrays) {
  int level = settings_enter_pinned();
  if (SPI_execute_plan(writer->plan, arrays, nullptr, true, 1) != SPI_OK_SELECT || SPI_processed != 1)
    elog(ERROR, "could not write ids");
  bool null;
  Datum ids = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null);
  settings_leave(level);
  return null ? PointerGetDatum(empty_texts()) : ids;
}

}  // namespace conveyor

// Texts are read as values of the key's type: 007 and 7 are one bigint, and mean one document.
CONVEYOR_FUNCTION(document_ids) {
  using namespace conveyor;
  TupleDesc shape;
  if (get_call_result_type(fcinfo, nullptr, &shape) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "return type must be a row type");
  MemoryContext caller = CurrentMemoryContext;
  Feed* feed = feed_lookup(text_to_cstring(PG_GETARG_TEXT_PP(0)), function_owner(fcinfo->flinfo->fn_oid));
  int count;
  char** texts = key_arguments(fcinfo, 1, &count);
  const char** problems = static_cast<const char**>(palloc(sizeof(char*) * (count + 1)));

  Scope scope = scope_enter_feed(feed);
  Datum* arrays = parse_ids(feed, texts, count, problems);
  SPI_connect();
  IdWriter writer;
  id_writer_init(&writer, feed);
  Datum ids = ids_of(&writer, arrays);
  MemoryContext spi = MemoryContextSwitchTo(caller);
  Datum* id;
  int known;
  deconstruct_array(DatumGetArrayTypePCopy(ids), TEXTOID, -1, false, TYPALIGN_INT, &id, nullptr, &known);
  MemoryContextSwitchTo(spi);
  SPI_finish();
  scope_leave(&scope);

  Datum* id_values = static_cast<Datum*>(palloc0(sizeof(Datum) * (count + 1)));
  Datum* problem_values = static_cast<Datum*>(palloc0(sizeof(Datum) * (count + 1)));
  bool* without_id = static_cast<bool*>(palloc(sizeof(bool) * (count + 1)));
  bool* without_problem = static_cast<bool*>(palloc(sizeof(bool) * (count + 1)));
  int next = 0;
  for (int i = 0; i < count; i++) {
    without_id[i] = problems[i] != nullptr;
    without_problem[i] = !without_id[i];
    if (without_id[i])
      problem_values[i] = CStringGetTextDatum(problems[i]);
    else
      id_values[i] = id[next++];
  }
  if (next != known) elog(ERROR, "%d ids were written of %d", known, next);
  int lower = 1;
  auto array = [&](Datum* values, bool* nulls) {
    return PointerGetDatum(
        count == 0 ? empty_texts()
                   : construct_md_array(values, nulls, 1, &count, &lower, TEXTOID, -1, false, TYPALIGN_INT));
  };
  Datum values[] = {array(id_values, without_id), array(problem_values, without_problem)};
  bool nulls[] = {false, false};
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}
