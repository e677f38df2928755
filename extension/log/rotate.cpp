// Emptying segments, and growing the ring where it comes round to one that could not be emptied.
//
// A segment may be emptied when every row in it lies inside every cursor. It is looked through twice: first beside the
// writers, which finds most of those that cannot be; then under ACCESS EXCLUSIVE, in a later snapshot. Whoever wrote
// into the segment holds a lock on it to the end of its transaction, so under that lock no row is still on its way, and
// rows that are not visible were rolled back. The lock is never waited for, and writers step aside from it.
//
// The segment gets a new file, as by TRUNCATE in its own transaction, but nothing is logically decoded and no statement
// of a subscriber is touched. The new file also has a fresh relfrozenxid: nothing else freezes segments.
#include "failpoint.hpp"
#include "log/cursor.hpp"
#include "log/marks.hpp"
#include "log/scan.hpp"
#include "log/segments.hpp"

extern "C" {
#include "executor/spi.h"
#include "postmaster/autovacuum.h"
}

namespace conveyor {

namespace {

// Beyond this the ring gains nothing: segments are looked through one by one.
constexpr int max_segments = 1024;

// What a row must lie inside to be of no more use: each delivery's cursor, and the snapshot that they were read in,
// since a delivery that comes later begins no earlier.
struct Cursors {
  int count;
  const PgSnapshot** snapshots;
  uint64 xmin;  // the least of theirs: what ended before it is inside all
};

// False while a delivery is being made: it has a cursor already, which nobody sees yet.
bool read_cursors(Cursors* cursors) {
  Oid definitions = extension_table("delivery_definition");
  if (!ConditionalLockRelationOid(definitions, ShareLock)) return false;
  MemoryContext context = CurrentMemoryContext;
  // Not in the caller's snapshot, which may be older than a delivery.
  PushActiveSnapshot(GetLatestSnapshot());
  const PgSnapshot* now = snapshot_from(GetActiveSnapshot());
  SPI_connect();
  // The snapshot that they are read in stands among them: a cursor that is stored later begins behind it.
  if (SPI_execute("SELECT cursor FROM conveyor.log_cursor UNION ALL SELECT pg_catalog.pg_current_snapshot()", true,
                  0) != SPI_OK_SELECT) {
    elog(ERROR, "could not read conveyor.log_cursor");
  }
  auto count = static_cast<int>(SPI_processed);
  MemoryContext before = MemoryContextSwitchTo(context);
  *cursors = {0, static_cast<const PgSnapshot**>(palloc(sizeof(PgSnapshot*) * (count + 1))), PG_UINT64_MAX};
  auto add = [cursors](const PgSnapshot* cursor) {
    cursors->snapshots[cursors->count++] = cursor;
    cursors->xmin = Min(cursors->xmin, cursor->xmin);
  };
  add(now);
  for (int i = 0; i < count; i++) {
    bool null;
    Datum value = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &null);
    if (!null) add(reinterpret_cast<const PgSnapshot*>(PG_DETOAST_DATUM_COPY(value)));
  }
  MemoryContextSwitchTo(before);
  SPI_finish();
  PopActiveSnapshot();
  UnlockRelationOid(definitions, ShareLock);
  return true;
}

bool inside_all(const Cursors* cursors, uint64 xid) {
  if (xid < cursors->xmin) return true;
  for (int i = 0; i < cursors->count; i++) {
    if (!snapshot_contains(cursors->snapshots[i], xid)) return false;
  }
  return true;
}

// Does the segment hold a row in the latest snapshot that some cursor has not passed?
bool is_needed(Oid segment, const Cursors* cursors) {
  Snapshot now = RegisterSnapshot(GetLatestSnapshot());
  LogScan* scan = log_scan_segment(now, segment, cursors->xmin);
  bool needed = false;
  LogRow row;
  while (!needed && log_scan_next(scan, &row)) needed = !inside_all(cursors, row.xid);
  log_scan_end(scan);
  UnregisterSnapshot(now);
  return needed;
}

void set_new_files(Relation segment) {
  compat::set_new_file(segment);
  Oid toast = segment->rd_rel->reltoastrelid;
  if (!OidIsValid(toast)) return;
  Relation values = table_open(toast, AccessExclusiveLock);
  compat::set_new_file(values);
  table_close(values, NoLock);
  compat::rebuild_indexes(toast);
}

// An empty segment's file keeps the transaction id it was made at, which ages all the same.
bool is_old(Relation segment) {
  auto age = static_cast<int32>(XidFromFullTransactionId(ReadNextFullTransactionId()) - segment->rd_rel->relfrozenxid);
  return age > autovacuum_freeze_max_age / 2;
}

struct Look {
  uint64 bytes;
  bool worth;  // it has something to empty, or its file is old
};

Look look_at(Oid oid) {
  if (!ConditionalLockRelationOid(oid, AccessShareLock)) return {0, false};
  Relation segment = table_open(oid, NoLock);
  BlockNumber blocks = RelationGetNumberOfBlocks(segment);
  Look look = {static_cast<uint64>(blocks) * BLCKSZ, blocks > 0 || is_old(segment)};
  table_close(segment, AccessShareLock);
  return look;
}

bool empty_segment(Oid oid, const Cursors* cursors) {
  if (is_needed(oid, cursors)) return false;
  failpoint("log_look");
  if (!ConditionalLockRelationOid(oid, AccessExclusiveLock)) return false;
  if (is_needed(oid, cursors)) return false;
  failpoint("log_empty");
  Relation segment = table_open(oid, NoLock);
  set_new_files(segment);
  table_close(segment, NoLock);
  CommandCounterIncrement();
  return true;
}

void grow(int segments) {
  SPI_connect();
  Oid types[] = {INT4OID};
  Datum values[] = {Int32GetDatum(segments)};
  if (SPI_execute_with_args("SELECT conveyor.log_grow($1)", 1, types, values, nullptr, false, 0) != SPI_OK_SELECT) {
    elog(ERROR, "could not grow the change log");
  }
  SPI_finish();
}

}  // namespace

CONVEYOR_FUNCTION(log_rotate) {
  Cursors cursors;
  if (!read_cursors(&cursors)) PG_RETURN_INT32(0);
  Segments* segments = read_segments();
  int count = segments->count;
  uint64 next_xid = U64FromFullTransactionId(ReadNextFullTransactionId());
  int active = segment_of(next_xid, count);
  uint64 due = static_cast<uint64>(settings.segment_size) * 1024 * 1024;
  int emptied = 0;
  bool wrapped = false;
  for (int i = 0; i < count; i++) {
    Look look = look_at(segments->relations[i]);
    // Writers would have to step aside from the active one: only where it has grown for long.
    bool may = look.worth && (i != active || look.bytes >= due);
    bool done = may && empty_segment(segments->relations[i], &cursors);
    emptied += done && look.bytes > 0 ? 1 : 0;
    if (i == (active + 1) % count && !done && look.bytes >= due) wrapped = true;
  }
  // Twice the ring: the writers' next segment is then most likely a new one, or one that is younger than all that are
  // held.
  if (wrapped && count < max_segments) grow(Min(count, max_segments - count));
  PG_RETURN_INT32(emptied);
}

}  // namespace conveyor
