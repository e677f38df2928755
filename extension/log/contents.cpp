// conveyor.log_contents(): the log in readable form.
#include "log/entry.hpp"
#include "log/scan.hpp"

extern "C" {
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
}

namespace conveyor {

namespace {

// The definitions met so far; there are few.
const CaptureDefinition* definition_of(List** known, int32 capture) {
  ListCell* cell;
  foreach (cell, *known) {
    auto* definition = static_cast<const CaptureDefinition*>(lfirst(cell));
    if (definition->capture == capture) return definition;
  }
  const CaptureDefinition* definition = capture_definition(capture);
  *known = lappend(*known, const_cast<CaptureDefinition*>(definition));
  return definition;
}

JsonbValue string_value(const char* text) {
  JsonbValue value;
  value.type = jbvString;
  value.val.string.val = const_cast<char*>(text);
  value.val.string.len = static_cast<int>(strlen(text));
  return value;
}

Jsonb* columns_as_json(const CaptureDefinition* definition, const char* bytes, int32 length) {
  auto* values = static_cast<Datum*>(palloc(sizeof(Datum) * Max(definition->ncolumns, 1)));
  auto* nulls = static_cast<bool*>(palloc(sizeof(bool) * Max(definition->ncolumns, 1)));
  decode_entry(definition, bytes, length, values, nulls);
  JsonbParseState* state = nullptr;
  pushJsonbValue(&state, WJB_BEGIN_OBJECT, nullptr);
  for (int i = 0; i < definition->ncolumns; i++) {
    JsonbValue name = string_value(definition->columns[i].name);
    pushJsonbValue(&state, WJB_KEY, &name);
    JsonbValue value;
    value.type = jbvNull;
    if (!nulls[i]) {
      Oid output;
      bool varlena;
      getTypeOutputInfo(definition->columns[i].type, &output, &varlena);
      value = string_value(OidOutputFunctionCall(output, values[i]));
    }
    pushJsonbValue(&state, WJB_VALUE, &value);
  }
  return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, nullptr));
}

Jsonb* captures_as_json(const LogRow* row) {
  JsonbParseState* state = nullptr;
  pushJsonbValue(&state, WJB_BEGIN_ARRAY, nullptr);
  for (int32 at = 0; at + static_cast<int32>(sizeof(int32)) <= row->length; at += sizeof(int32)) {
    int32 capture;
    memcpy(&capture, row->entries + at, sizeof capture);
    JsonbValue value;
    value.type = jbvNumeric;
    value.val.numeric = DatumGetNumeric(DirectFunctionCall1(int4_numeric, Int32GetDatum(capture)));
    pushJsonbValue(&state, WJB_ELEM, &value);
  }
  return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, nullptr));
}

// One row of the result. `definition` is null for an overflow, which is of no relation.
void put(ReturnSetInfo* result, const LogRow* row, const CaptureDefinition* definition, Jsonb* entry) {
  Datum values[] = {UInt64GetDatum(row->xid),
                    TimestampTzGetDatum(row->flushed_at),
                    Int32GetDatum(row->capture),
                    CharGetDatum(static_cast<char>(row->kind)),
                    ObjectIdGetDatum(definition == nullptr ? InvalidOid : definition->relation),
                    PointerGetDatum(entry)};
  bool nulls[] = {false, false, false, false, definition == nullptr, entry == nullptr};
  tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

void put_row(ReturnSetInfo* result, List** known, MemoryContext long_lived, const LogRow* row) {
  if (row->kind == LogKind::overflow) return put(result, row, nullptr, captures_as_json(row));
  MemoryContext before = MemoryContextSwitchTo(long_lived);
  const CaptureDefinition* definition = definition_of(known, row->capture);
  MemoryContextSwitchTo(before);
  if (row->kind == LogKind::truncated) return put(result, row, definition, nullptr);
  if (row->kind == LogKind::recheck) {
    JsonbValue reason;
    reason.type = jbvString;
    reason.val.string.val = const_cast<char*>(row->entries);
    reason.val.string.len = row->length;
    return put(result, row, definition, JsonbValueToJsonb(&reason));
  }
  EntryReader reader = read_entries(definition, row->entries, row->length);
  const char* bytes;
  int32 length;
  while (entry_bytes(&reader, &bytes, &length))
    put(result, row, definition, columns_as_json(definition, bytes, length));
}

}  // namespace

CONVEYOR_FUNCTION(log_contents) {
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  MemoryContext context = CurrentMemoryContext;
  MemoryContext each = AllocSetContextCreate(context, "pg_conveyor log contents", ALLOCSET_DEFAULT_SIZES);
  Snapshot now = RegisterSnapshot(GetLatestSnapshot());
  const PgSnapshot* after = PG_ARGISNULL(0) ? nullptr : snapshot_value(PG_GETARG_DATUM(0));
  LogScan* scan = log_scan_begin(now, after, nullptr, 0);
  List* known = NIL;
  LogRow row;
  while (log_scan_next(scan, &row)) {
    MemoryContextSwitchTo(each);
    put_row(result, &known, context, &row);
    MemoryContextSwitchTo(context);
    MemoryContextReset(each);
  }
  log_scan_end(scan);
  UnregisterSnapshot(now);
  return static_cast<Datum>(0);
}

}  // namespace conveyor
