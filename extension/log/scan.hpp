// Reading the change log: the rows that are visible in a snapshot and not inside a cursor, over all segments.
//
// A scan may rest between two calls of next for as long as the transaction lasts, so a set-returning function can
// consume it slice by slice: it holds ACCESS SHARE locks on the segments that it has met, but no buffer, no open
// relation and no snapshot reference. It lives in a memory context of its own below the one that begin() was called in;
// after an error there is nothing to release. Memory: one page, and one row's entries where those are out of line.
#pragma once

#include "compat.hpp"
#include "log/cursor.hpp"

namespace conveyor {

// log_segment rows, and the column numbers of a segment.
enum LogColumn { log_xid = 1, log_flushed_at, log_capture, log_changes, log_kind, log_entries };

enum class LogKind : char { keys = 'k', truncated = 't', recheck = 'r', overflow = 'o' };

struct LogRow {
  uint64 xid;  // the writer's top-level transaction
  TimestampTz flushed_at;
  int32 capture;  // conveyor.capture; 0 for LogKind::overflow
  int32 changes;  // entries of kind keys
  LogKind kind;
  const char* entries;  // valid until the next call
  int32 length;         // bytes
};

struct LogScan;

// Where a row is. As long as a cursor holds the row it stays there, unless somebody rewrites the segment.
struct LogPlace {
  Oid segment;  // InvalidOid: nowhere
  Oid file;
  BlockNumber block;
  OffsetNumber item;
};

// `snapshot` must be registered or active until the scan's end; `cursor` may be null (everything), `captures` too (all
// of them). Other captures' rows are passed over; an overflow row is returned when it concerns one of `captures`. Takes
// the blocks' marks into account (docs/internals.md, "The log"), so the cost is that of what is new.
LogScan* log_scan_begin(Snapshot snapshot, const PgSnapshot* cursor, const int32* captures, int ncaptures);
// One segment only, every row of a transaction that is not below `xmin`.
LogScan* log_scan_segment(Snapshot snapshot, Oid segment, uint64 xmin);
bool log_scan_next(LogScan* scan, LogRow* row);
// Changes that the segment of `row`, the one just returned, may still hold if it goes on like this.
uint64 log_scan_ahead(const LogScan* scan, const LogRow& row);

// Before the first row: passes over what had not ended in `end`, which must be inside `snapshot`.
void log_scan_until(LogScan* scan, const PgSnapshot* end);
// Goes to a row that a scan of the same rows has met, in this transaction or an earlier one: it comes next, and then
// those behind it. False where it is not there, and the scan is at its beginning.
bool log_scan_go(LogScan* scan, const LogPlace& place);
// Of the latest row.
LogPlace log_scan_place(const LogScan* scan);

uint64 log_scan_pages(const LogScan* scan);  // read so far
void log_scan_end(LogScan* scan);

}  // namespace conveyor
