// Calling the extension's own SQL functions, and other statements that answer with one row at most.
#pragma once

#include "compat.hpp"

namespace conveyor::migrate {

// Parameters of a statement, in their order.
class Parameters {
 public:
  Parameters& integer(int value) { return add(INT4OID, Int32GetDatum(value), false); }
  Parameters& bigint(int64 value) { return add(INT8OID, Int64GetDatum(value), false); }
  Parameters& real(float value) { return add(FLOAT4OID, Float4GetDatum(value), false); }
  Parameters& boolean(bool value) { return add(BOOLOID, BoolGetDatum(value), false); }
  Parameters& string(const char* value) {  // NULL pointer: NULL
    return add(TEXTOID, value == nullptr ? 0 : CStringGetTextDatum(value), value == nullptr);
  }
  Parameters& strings(char** values, int count);  // text[]; NULL pointer: NULL
  Parameters& add(Oid type, Datum value, bool null);

  int count = 0;
  static constexpr int kMost = 2 * INDEX_MAX_KEYS + 8;
  Oid types[kMost];
  Datum values[kMost];
  char nulls[kMost + 1];
};

// One row, copied into the context that was current when it was asked for.
struct Row {
  HeapTuple tuple;  // NULL: there was none
  TupleDesc shape;

  explicit operator bool() const { return tuple != nullptr; }
  Datum value(int column, bool* null) const { return heap_getattr(tuple, column, shape, null); }
  bool is_null(int column) const { return heap_attisnull(tuple, column, shape); }
  int integer(int column) const;                  // 0 for NULL
  int64 bigint(int column) const;                 // 0 for NULL
  double number(int column) const;                // of a float8; 0 for NULL
  bool boolean(int column) const;                 // false for NULL
  Oid oid(int column) const;                      // InvalidOid for NULL
  char* string(int column) const;                 // NULL pointer for NULL
  char** strings(int column, int* count) const;   // NULL pointer for NULL
  double* doubles(int column, int* count) const;  // of a float8[] without NULLs; none for NULL
};

// Runs the statement with the session's rights and settings and gives its first row.
Row ask(const char* sql, const Parameters& parameters);

// Runs one that answers nothing, or nothing that matters.
void tell(const char* sql, const Parameters& parameters);

// Runs a user's statement. Its plan is made for these very values, and its rows go nowhere.
void run(const char* sql, const Parameters& parameters);

}  // namespace conveyor::migrate
