// range_end(delivery, after, documents): where a range of about so many documents ends.
#include "fetch/answer.hpp"
#include "fetch/keys.hpp"
#include "fetch/owner.hpp"
#include "fetch/query.hpp"

using namespace conveyor;

CONVEYOR_FUNCTION(range_end) {
  if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("delivery and documents must not be null")));
  int32 documents = PG_GETARG_INT32(2);
  if (documents < 1) ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("documents must be at least 1")));

  Feed* feed = feed_lookup(text_to_cstring(PG_GETARG_TEXT_PP(0)), function_owner(fcinfo->flinfo->fn_oid));
  if (!OidIsValid(feed->root)) PG_RETURN_NULL();

  Scope scope = scope_enter_feed(feed);
  Datum* values = static_cast<Datum*>(palloc0(sizeof(Datum) * (feed->keys + 1)));
  int given = 0;
  if (!PG_ARGISNULL(1)) {
    int count;
    char** texts = key_arguments(fcinfo, 1, &count);
    key_values(feed, texts, count, values);
    given = feed->keys;
  }
  values[given] = Int64GetDatum(documents);

  MemoryContext caller = CurrentMemoryContext;
  SPI_connect();
  PushActiveSnapshot(GetLatestSnapshot());
  SPIPlanPtr plan = prepare_query(feed, query_range_end(feed, given > 0), given > 0 ? 1 : 0, false, INT8OID);
  if (SPI_execute_plan(plan, values, nullptr, true, 1) != SPI_OK_SELECT) elog(ERROR, "could not walk the root's key");
  Datum end = PointerGetDatum(nullptr);
  if (SPI_processed > 0) {
    bool null;
    Datum datum = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null);
    MemoryContext spi = MemoryContextSwitchTo(caller);
    end = PointerGetDatum(PG_DETOAST_DATUM_COPY(datum));
    MemoryContextSwitchTo(spi);
  }
  PopActiveSnapshot();
  SPI_finish();
  scope_leave(&scope);
  if (DatumGetPointer(end) == nullptr) PG_RETURN_NULL();
  PG_RETURN_DATUM(end);
}
