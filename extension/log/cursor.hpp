// Snapshots as values: the type pg_snapshot, as a delivery's cursor. The server keeps its struct private; this is the
// same layout (it is what pg_snapshot's binary form in a tuple is, unchanged since PostgreSQL 8.3).
#pragma once

#include "compat.hpp"

namespace conveyor {

struct PgSnapshot {
  int32 vl_len_;  // varlena header: never touch directly
  uint32 nxip;
  uint64 xmin;
  uint64 xmax;
  uint64 xip[FLEXIBLE_ARRAY_MEMBER];  // running top-level transactions, ascending, distinct
};

// Detoasted and aligned; may be the datum itself.
const PgSnapshot* snapshot_value(Datum datum);

inline Datum snapshot_datum(const PgSnapshot* snapshot) { return PointerGetDatum(snapshot); }

// The server's snapshot as a value (palloc), with the session's own transaction among those that run, as everybody else
// sees it. In recovery its xip is incomplete: do not ask there.
PgSnapshot* snapshot_from(Snapshot snapshot);

// The same, but with transaction `xid` running: a snapshot does not list its own session's transaction, whose rows come
// into the log when it commits. An invalid xid changes nothing: one that is assigned later is beyond the snapshot.
const PgSnapshot* snapshot_with_running(const PgSnapshot* snapshot, FullTransactionId xid);

// Had transaction `xid` ended when the snapshot was taken?
bool snapshot_contains_slow(const PgSnapshot* snapshot, uint64 xid);
inline bool snapshot_contains(const PgSnapshot* snapshot, uint64 xid) {
  if (xid < snapshot->xmin) return true;
  if (xid >= snapshot->xmax) return false;
  return snapshot_contains_slow(snapshot, xid);
}

bool snapshot_equal(const PgSnapshot* a, const PgSnapshot* b);

// Widens a 32-bit transaction id of the present (within 2^31 of `next`, the next one to be assigned).
uint64 full_xid(TransactionId xid, FullTransactionId next);

}  // namespace conveyor
