#include "migrate/ask.hpp"

extern "C" {
#include "access/heaptoast.h"
#include "executor/spi.h"
#include "tcop/dest.h"
#include "nodes/params.h"
}

namespace conveyor::migrate {

namespace {

ParamListInfo parameter_list(const Parameters& parameters) {
  if (parameters.count == 0) return nullptr;
  ParamListInfo list = makeParamList(parameters.count);
  for (int i = 0; i < parameters.count; i++) {
    list->params[i].value = parameters.values[i];
    list->params[i].isnull = parameters.nulls[i] == 'n';
    list->params[i].pflags = PARAM_FLAG_CONST;
    list->params[i].ptype = parameters.types[i];
  }
  return list;
}

void execute(const char* sql, const Parameters& parameters, uint64 most, DestReceiver* receiver) {
  SPIExecuteOptions options = {};
  options.params = parameter_list(parameters);
  options.tcount = most;
  options.dest = receiver;
  int result = SPI_execute_extended(sql, &options);
  if (result < 0) elog(ERROR, "could not execute \"%s\": %s", sql, SPI_result_code_string(result));
}

}  // namespace

Parameters& Parameters::add(Oid type, Datum value, bool null) {
  if (count == kMost) elog(ERROR, "too many parameters");
  types[count] = type;
  values[count] = value;
  nulls[count] = null ? 'n' : ' ';
  count++;
  return *this;
}

Parameters& Parameters::strings(char** values, int count) {
  if (values == nullptr) return add(TEXTARRAYOID, 0, true);
  Datum* items = static_cast<Datum*>(palloc(sizeof(Datum) * (count + 1)));
  for (int i = 0; i < count; i++) items[i] = CStringGetTextDatum(values[i]);
  return add(TEXTARRAYOID, PointerGetDatum(construct_array(items, count, TEXTOID, -1, false, TYPALIGN_INT)), false);
}

int Row::integer(int column) const {
  bool null;
  Datum datum = value(column, &null);
  return null ? 0 : DatumGetInt32(datum);
}

int64 Row::bigint(int column) const {
  bool null;
  Datum datum = value(column, &null);
  return null ? 0 : DatumGetInt64(datum);
}

double Row::number(int column) const {
  bool null;
  Datum datum = value(column, &null);
  return null ? 0 : DatumGetFloat8(datum);
}

bool Row::boolean(int column) const {
  bool null;
  Datum datum = value(column, &null);
  return !null && DatumGetBool(datum);
}

Oid Row::oid(int column) const {
  bool null;
  Datum datum = value(column, &null);
  return null ? InvalidOid : DatumGetObjectId(datum);
}

char* Row::string(int column) const {
  bool null;
  Datum datum = value(column, &null);
  return null ? nullptr : TextDatumGetCString(datum);
}

char** Row::strings(int column, int* count) const {
  bool null;
  Datum datum = value(column, &null);
  *count = 0;
  if (null) return nullptr;
  Datum* items;
  deconstruct_array(DatumGetArrayTypeP(datum), TEXTOID, -1, false, TYPALIGN_INT, &items, nullptr, count);
  char** texts = static_cast<char**>(palloc(sizeof(char*) * (*count + 1)));
  for (int i = 0; i < *count; i++) texts[i] = TextDatumGetCString(items[i]);
  return texts;
}

double* Row::doubles(int column, int* count) const {
  bool null;
  Datum datum = value(column, &null);
  *count = 0;
  if (null) return nullptr;
  Datum* items;
  deconstruct_array(DatumGetArrayTypeP(datum), FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &items,
                    nullptr, count);
  double* numbers = static_cast<double*>(palloc(sizeof(double) * (*count + 1)));
  for (int i = 0; i < *count; i++) numbers[i] = DatumGetFloat8(items[i]);
  return numbers;
}

Row ask(const char* sql, const Parameters& parameters) {
  MemoryContext caller = CurrentMemoryContext;
  PushActiveSnapshot(GetTransactionSnapshot());  // values of the answer may have to be fetched from a TOAST table
  SPI_connect();
  execute(sql, parameters, 1, nullptr);
  Row row = {};
  if (SPI_tuptable != nullptr && SPI_processed > 0) {
    MemoryContext spi = MemoryContextSwitchTo(caller);
    row.shape = CreateTupleDescCopy(SPI_tuptable->tupdesc);
    // Flat, with what lies in TOAST tables fetched: it is read when the snapshot is gone.
    row.tuple = toast_flatten_tuple(SPI_tuptable->vals[0], row.shape);
    MemoryContextSwitchTo(spi);
  }
  SPI_finish();
  PopActiveSnapshot();
  return row;
}

void tell(const char* sql, const Parameters& parameters) { ask(sql, parameters); }

void run(const char* sql, const Parameters& parameters) {
  // Some commands expect that somebody around them has a snapshot, as a portal would.
  PushActiveSnapshot(GetTransactionSnapshot());
  SPI_connect();
  execute(sql, parameters, 0, CreateDestReceiver(DestNone));
  SPI_finish();
  PopActiveSnapshot();
}

}  // namespace conveyor::migrate
