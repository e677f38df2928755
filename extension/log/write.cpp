#include "log/write.hpp"

#include "failpoint.hpp"
#include "log/segments.hpp"

namespace conveyor {

// A row's bytes before its entries: tuple header, xid, flushed_at, capture, changes, kind and the varlena header,
// aligned.
static_assert(packed_row <=
              static_cast<int32>(MAXALIGN_DOWN((BLCKSZ - MAXALIGN(SizeOfPageHeaderData + 4 * sizeof(ItemIdData))) /
                                               4)) -
                  static_cast<int32>(MAXALIGN(SizeofHeapTupleHeader) + 28 + VARHDRSZ));

bool log_write_begin(LogWriter* writer) {
  // The id comes before the block: a reader that skips blocks relies on it.
  writer->xid = U64FromFullTransactionId(GetTopFullTransactionId());
  writer->flushed_at = GetCurrentTimestamp();
  writer->segment = open_segment_for_writing(writer->xid);
  if (writer->segment == nullptr) return false;
  RelationSetTargetBlock(writer->segment, InvalidBlockNumber);
  return true;
}

void log_write(LogWriter* writer, LogKind kind, int32 capture, int32 changes, struct varlena* entries) {
  failpoint("log_write");
  Datum values[] = {UInt64GetDatum(writer->xid), TimestampTzGetDatum(writer->flushed_at), Int32GetDatum(capture),
                    Int32GetDatum(changes),      CharGetDatum(static_cast<char>(kind)),   PointerGetDatum(entries)};
  bool nulls[lengthof(values)] = {};
  HeapTuple row = heap_form_tuple(RelationGetDescr(writer->segment), values, nulls);
  heap_insert(writer->segment, row, GetCurrentCommandId(true), HEAP_INSERT_SKIP_FSM | HEAP_INSERT_NO_LOGICAL, nullptr);
  heap_freetuple(row);
}

void log_write_end(LogWriter* writer) { table_close(writer->segment, NoLock); }

bool log_is_full(uint64 bytes) {
  static uint64 size = 0;   // at the last look, and what this session has written since
  static uint64 since = 0;  // bytes
  static TimestampTz looked_at = 0;
  if (settings.max_log_size < 0) return false;
  uint64 bound = static_cast<uint64>(settings.max_log_size) * 1024 * 1024;
  since += bytes;
  size += bytes;
  TimestampTz now = GetCurrentTimestamp();
  if (since > bound / 64 || TimestampDifferenceExceeds(looked_at, now, 100)) {
    size = segments_size() + bytes;
    since = bytes;
    looked_at = now;
  }
  return size > bound;
}

}  // namespace conveyor
