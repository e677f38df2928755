#include "log/cursor.hpp"

#include <algorithm>

namespace conveyor {

const PgSnapshot* snapshot_value(Datum datum) { return reinterpret_cast<const PgSnapshot*>(PG_DETOAST_DATUM(datum)); }

uint64 full_xid(TransactionId xid, FullTransactionId next) {
  uint32 epoch = EpochFromFullTransactionId(next);
  if (xid > XidFromFullTransactionId(next)) epoch--;
  return U64FromFullTransactionId(FullTransactionIdFromEpochAndXid(epoch, xid));
}

PgSnapshot* snapshot_from(Snapshot snapshot) {
  FullTransactionId next = ReadNextFullTransactionId();  // after the snapshot, so that nothing in it is newer
  auto* value = static_cast<PgSnapshot*>(palloc(offsetof(PgSnapshot, xip) + sizeof(uint64) * (snapshot->xcnt + 1)));
  value->xmin = full_xid(snapshot->xmin, next);
  value->xmax = full_xid(snapshot->xmax, next);
  uint32 running = snapshot->xcnt;
  for (uint32 i = 0; i < running; i++) value->xip[i] = full_xid(snapshot->xip[i], next);
  // The session's own transaction is not listed, and runs.
  FullTransactionId own = GetTopFullTransactionIdIfAny();
  if (FullTransactionIdIsValid(own) && U64FromFullTransactionId(own) < value->xmax) {
    value->xip[running++] = U64FromFullTransactionId(own);
    value->xmin = Min(value->xmin, U64FromFullTransactionId(own));
  }
  std::sort(value->xip, value->xip + running);
  // A transaction that is being prepared appears twice.
  value->nxip = static_cast<uint32>(std::unique(value->xip, value->xip + running) - value->xip);
  SET_VARSIZE(value, offsetof(PgSnapshot, xip) + sizeof(uint64) * value->nxip);
  return value;
}

const PgSnapshot* snapshot_with_running(const PgSnapshot* snapshot, FullTransactionId xid) {
  uint64 own = U64FromFullTransactionId(xid);
  if (!FullTransactionIdIsValid(xid) || !snapshot_contains(snapshot, own)) return snapshot;
  Size length = offsetof(PgSnapshot, xip) + sizeof(uint64) * (snapshot->nxip + 1);
  auto* value = static_cast<PgSnapshot*>(palloc(length));
  SET_VARSIZE(value, length);
  value->nxip = snapshot->nxip + 1;
  value->xmin = std::min(snapshot->xmin, own);
  value->xmax = snapshot->xmax;
  uint64* place =
      std::lower_bound(value->xip, std::copy(snapshot->xip, snapshot->xip + snapshot->nxip, value->xip), own);
  std::copy_backward(place, value->xip + snapshot->nxip, value->xip + snapshot->nxip + 1);
  *place = own;
  return value;
}

bool snapshot_contains_slow(const PgSnapshot* snapshot, uint64 xid) {
  return !std::binary_search(snapshot->xip, snapshot->xip + snapshot->nxip, xid);
}

bool snapshot_equal(const PgSnapshot* a, const PgSnapshot* b) {
  return a->xmin == b->xmin && a->xmax == b->xmax && a->nxip == b->nxip && std::equal(a->xip, a->xip + a->nxip, b->xip);
}

}  // namespace conveyor
