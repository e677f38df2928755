// What lies between a cursor and now.
#include "log/cursor.hpp"
#include "log/scan.hpp"

#include <algorithm>

namespace conveyor {

namespace {

struct Captures {
  int32* ids;  // null: all
  int count;
};

Captures captures_argument(FunctionCallInfo fcinfo, int argument) {
  if (PG_ARGISNULL(argument)) return {nullptr, 0};
  Datum* values;
  bool* nulls;
  int count;
  deconstruct_array(PG_GETARG_ARRAYTYPE_P(argument), INT4OID, sizeof(int32), true, TYPALIGN_INT, &values, &nulls,
                    &count);
  auto* ids = static_cast<int32*>(palloc(sizeof(int32) * Max(count, 1)));
  int present = 0;
  for (int i = 0; i < count; i++) {
    if (!nulls[i]) ids[present++] = DatumGetInt32(values[i]);
  }
  return {ids, present};
}

const PgSnapshot* snapshot_argument(FunctionCallInfo fcinfo, int argument) {
  return PG_ARGISNULL(argument) ? nullptr : snapshot_value(PG_GETARG_DATUM(argument));
}

}  // namespace

CONVEYOR_FUNCTION(latest_snapshot) { PG_RETURN_DATUM(snapshot_datum(snapshot_from(GetLatestSnapshot()))); }

CONVEYOR_FUNCTION(log_pending) {
  Snapshot now = RegisterSnapshot(GetLatestSnapshot());
  Captures captures = captures_argument(fcinfo, 1);
  LogScan* scan = log_scan_begin(now, snapshot_argument(fcinfo, 0), captures.ids, captures.count);
  int64 changes = 0;
  int64 signals = 0;
  TimestampTz oldest = DT_NOEND;
  LogRow row;
  while (log_scan_next(scan, &row)) {
    changes += row.changes;
    signals += row.kind == LogKind::keys ? 0 : 1;
    oldest = std::min(oldest, row.flushed_at);
  }
  log_scan_end(scan);
  UnregisterSnapshot(now);

  TupleDesc shape;
  if (get_call_result_type(fcinfo, nullptr, &shape) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "return type must be a row type");
  Datum values[] = {Int64GetDatum(changes), TimestampTzGetDatum(oldest), Int64GetDatum(signals)};
  bool nulls[] = {false, oldest == DT_NOEND, false};
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}

CONVEYOR_FUNCTION(log_has_pending) {
  Captures captures = captures_argument(fcinfo, 1);
  const PgSnapshot* cursor = snapshot_argument(fcinfo, 0);
  const PgSnapshot* upto = snapshot_argument(fcinfo, 2);
  Snapshot now = RegisterSnapshot(GetLatestSnapshot());
  bool pending = false;
  if (cursor == nullptr || !snapshot_equal(cursor, snapshot_from(now))) {
    LogScan* scan = log_scan_begin(now, cursor, captures.ids, captures.count);
    LogRow row;
    while (!pending && log_scan_next(scan, &row)) pending = upto == nullptr || snapshot_contains(upto, row.xid);
    log_scan_end(scan);
  }
  UnregisterSnapshot(now);
  PG_RETURN_BOOL(pending);
}

}  // namespace conveyor
