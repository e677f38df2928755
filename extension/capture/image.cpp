#include "capture/image.hpp"

#include "capture/buffer.hpp"
#include "capture/transaction.hpp"
#include "log/varint.hpp"

extern "C" {
#include "utils/datum.h"
}

namespace conveyor {

namespace {

// Leaves room in 1 GB, the server's limit for a value, for the row around it.
constexpr Size max_entry = Size{1000} * 1024 * 1024;

bool same_varlena(Datum a, Datum b) {
  auto* x = reinterpret_cast<const char*>(DatumGetPointer(a));
  auto* y = reinterpret_cast<const char*>(DatumGetPointer(b));
  if (x == y) return true;
  // As stored: covers what an UPDATE left alone, also out of line, where the pointer is the same.
  Size size = VARSIZE_ANY(x);
  if (size == VARSIZE_ANY(y) && memcmp(x, y, size) == 0) return true;
  return datum_image_eq(a, b, false, -1);
}

// A recorded column's bytes, detoasted; `owned` where they must be freed.
struct Bytes {
  const char* at;
  Size length;
  void* owned;
};

Bytes bytes_of(const WatchedColumn* column, Datum value) {
  char* pointer = DatumGetPointer(value);
  if (column->typlen > 0) return {pointer, static_cast<Size>(column->typlen), nullptr};
  if (column->typlen == -2) return {pointer, strlen(pointer), nullptr};
  struct varlena* plain = pg_detoast_datum_packed(reinterpret_cast<struct varlena*>(pointer));
  return {VARDATA_ANY(plain), VARSIZE_ANY_EXHDR(plain), reinterpret_cast<char*>(plain) == pointer ? nullptr : plain};
}

int64 by_value(const WatchedColumn* column, Datum value) {
  switch (column->typlen) {
    case 1:
      return DatumGetChar(value);
    case 2:
      return DatumGetInt16(value);
    case 4:
      return DatumGetInt32(value);
    default:
      return static_cast<int64>(value);
  }
}

// All recorded columns are byval and NOT NULL.
bool capture_plain(const Watch* watch, const Datum* values, const bool* nulls) {
  char* start = buffer.reserve(static_cast<Size>(watch->nrecorded) * max_varint);
  char* at = start;
  for (int i = 0; i < watch->nrecorded; i++) {
    const WatchedColumn* column = &watch->recorded[i];
    if (nulls[column->number - 1]) return false;
    at = put_varint(at, zigzag(by_value(column, values[column->number - 1])));
  }
  capture_reserved(watch->capture, LogKind::keys, static_cast<uint32>(at - start));
  return true;
}

bool capture_any(const Watch* watch, const Datum* values, const bool* nulls) {
  Size bitmap = watch->nullable ? (watch->nrecorded + 7) / 8 : 0;
  auto* bytes = static_cast<Bytes*>(palloc(sizeof(Bytes) * Max(watch->nrecorded, 1)));
  Size size = bitmap;
  for (int i = 0; i < watch->nrecorded; i++) {
    const WatchedColumn* column = &watch->recorded[i];
    bytes[i] = {nullptr, 0, nullptr};
    size += max_varint;
    if (nulls[column->number - 1] && !watch->nullable) return false;
    if (nulls[column->number - 1] || column->byval) continue;
    bytes[i] = bytes_of(column, values[column->number - 1]);
    size += bytes[i].length;
  }
  if (size > max_entry) {
    for (int i = 0; i < watch->nrecorded; i++) {
      if (bytes[i].owned != nullptr) pfree(bytes[i].owned);
    }
    capture_signal(watch->capture, LogKind::recheck, "a changed row is too large to be recorded");
    return true;
  }
  char* start = buffer.reserve(size);
  memset(start, 0, bitmap);
  char* at = start + bitmap;
  for (int i = 0; i < watch->nrecorded; i++) {
    const WatchedColumn* column = &watch->recorded[i];
    if (nulls[column->number - 1]) {
      start[i / 8] |= static_cast<char>(1 << (i % 8));
    } else if (column->byval) {
      at = put_varint(at, zigzag(by_value(column, values[column->number - 1])));
    } else {
      at = put_varint(at, bytes[i].length);
      memcpy(at, bytes[i].at, bytes[i].length);
      at += bytes[i].length;
      if (bytes[i].owned != nullptr) pfree(bytes[i].owned);
    }
  }
  pfree(bytes);
  capture_reserved(watch->capture, LogKind::keys, static_cast<uint32>(at - start));
  return true;
}

}  // namespace

bool same_image(const WatchedColumn* column, Datum a, bool a_null, Datum b, bool b_null) {
  if (a_null || b_null) return a_null == b_null;
  if (column->byval) return a == b;
  if (column->typlen == -1) return same_varlena(a, b);
  return datum_image_eq(a, b, false, column->typlen);
}

void capture_image(const Watch* watch, const Datum* values, const bool* nulls) {
  if (watch->plain ? capture_plain(watch, values, nulls) : capture_any(watch, values, nulls)) return;
  capture_signal(watch->capture, LogKind::recheck, "a column that was NOT NULL holds NULL");
}

void capture_signal(int32 capture, LogKind kind, const char* reason) {
  Size length = reason == nullptr ? 0 : strlen(reason);
  memcpy(buffer.reserve(length), reason == nullptr ? "" : reason, length);
  capture_reserved(capture, kind, static_cast<uint32>(length));
}

}  // namespace conveyor
