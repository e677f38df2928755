// frame_records(frame): what a frame holds, for people and tests. The agent has a reader of its own.
#include "compat.hpp"

extern "C" {
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
}

namespace conveyor {

namespace {

struct Reader {
  const char* at;
  const char* end;
};

const char* take(Reader* reader, Size size) {
  if (static_cast<Size>(reader->end - reader->at) < size)
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("frame ends inside a record")));
  const char* bytes = reader->at;
  reader->at += size;
  return bytes;
}

int64 take_u64(Reader* reader) {
  uint64 value;
  memcpy(&value, take(reader, sizeof value), sizeof value);
#ifdef WORDS_BIGENDIAN
  value = pg_bswap64(value);
#endif
  return static_cast<int64>(value);
}

Datum take_text(Reader* reader) {
  uint32 size;
  memcpy(&size, take(reader, sizeof size), sizeof size);
#ifdef WORDS_BIGENDIAN
  size = pg_bswap32(size);
#endif
  char* text = pnstrdup(take(reader, size), size);
  return CStringGetTextDatum(pg_any_to_server(text, static_cast<int>(size), PG_UTF8));
}

enum Column { kKind, kKey, kBody, kType, kNumber, kColumns };

void take_record(Reader* reader, Datum* values, bool* nulls) {
  auto set = [&](Column column, Datum value) {
    values[column] = value;
    nulls[column] = false;
  };
  char kind = *take(reader, 1);
  set(kKind, PointerGetDatum(cstring_to_text_with_len(&kind, 1)));
  switch (kind) {
    case 'h':
      set(kNumber, Int64GetDatum(take_u64(reader)));
      set(kBody, take_text(reader));
      break;
    case 'd':
      set(kKey, take_text(reader));
      set(kBody, take_text(reader));
      break;
    case 'c':
      set(kKey, take_text(reader));
      set(kNumber, Int64GetDatum(take_u64(reader)));
      break;
    case 'm':
    case 'k':
      set(kKey, take_text(reader));
      break;
    case 'x':
      set(kKey, take_text(reader));
      set(kType, take_text(reader));
      set(kBody, take_text(reader));
      break;
    case 's':
      set(kType, PointerGetDatum(cstring_to_text_with_len(take(reader, 1), 1)));
      set(kBody, take_text(reader));
      break;
    case 'e':
      set(kNumber, Int64GetDatum(take_u64(reader)));
      break;
    default:
      ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("frame has a record of unknown kind %d", kind)));
  }
}

}  // namespace

}  // namespace conveyor

CONVEYOR_FUNCTION(frame_records) {
  using namespace conveyor;
  bytea* frame = PG_GETARG_BYTEA_PP(0);
  InitMaterializedSRF(fcinfo, 0);
  ReturnSetInfo* info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  Reader reader = {VARDATA_ANY(frame), VARDATA_ANY(frame) + VARSIZE_ANY_EXHDR(frame)};
  while (reader.at < reader.end) {
    Datum values[kColumns] = {};
    bool nulls[kColumns];
    memset(nulls, true, sizeof nulls);
    take_record(&reader, values, nulls);
    tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
  }
  return static_cast<Datum>(0);
}
