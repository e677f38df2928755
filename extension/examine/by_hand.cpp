// conveyor.examine_statement(): what the guard would say of a statement, for whoever writes one.
#include "examine/examine_plan.hpp"
#include "examine/job_guard.hpp"

extern "C" {
#include "executor/spi.h"
#include "portability/instr_time.h"
}

namespace conveyor {

namespace {

void execute(const char* text) {
  SPI_connect();
  const int result = SPI_execute(text, false, 0);
  if (result < 0) {
    ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
            errmsg("cannot run this statement: %s", SPI_result_code_string(result)));
  }
  SPI_finish();
}

double milliseconds_of(const char* text) {
  instr_time began;
  instr_time ended;
  INSTR_TIME_SET_CURRENT(began);
  execute(text);
  INSTR_TIME_SET_CURRENT(ended);
  INSTR_TIME_SUBTRACT(ended, began);
  return INSTR_TIME_GET_MILLISEC(ended);
}

}  // namespace

// (statement text, batch_rows bigint, source regclass, OUT expected text, OUT observed text)
CONVEYOR_FUNCTION(examine_statement) {
  TupleDesc shape;
  if (get_call_result_type(fcinfo, nullptr, &shape) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "return type must be a row type");
  if (PG_ARGISNULL(0) || PG_ARGISNULL(1)) {
    ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
            errmsg("the statement and the number of rows must not be NULL"));
  }
  const char* statement = text_to_cstring(PG_GETARG_TEXT_PP(0));
  const auto rows = static_cast<double>(PG_GETARG_INT64(1));
  const Oid source = PG_ARGISNULL(2) ? InvalidOid : PG_GETARG_OID(2);

  const char* expected = examine_plan({statement, 0, nullptr, nullptr, nullptr}, source, rows);
  JobGuard* guard = guard_open(CurrentMemoryContext, source, 1);
  guard_begin(guard, rows);
  const double milliseconds = milliseconds_of(statement);
  guard_end(guard, {rows, milliseconds, 0}, false);
  const char* observed = guard_warning(guard);

  Datum values[] = {expected != nullptr ? CStringGetTextDatum(expected) : 0,
                    observed != nullptr ? CStringGetTextDatum(observed) : 0};
  bool nulls[] = {expected == nullptr, observed == nullptr};
  guard_close(guard);
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}

}  // namespace conveyor
