#include "snapshot/require.hpp"

extern "C" {
#include "access/xlog.h"
#include "replication/walreceiver.h"
#include "storage/spin.h"
}

namespace conveyor {

namespace {

// Where this standby streams from, for a hint; false when it does not stream.
bool sender(char* host, int* port) {
  if (WalRcv == nullptr) return false;
  SpinLockAcquire(&WalRcv->mutex);
  bool known = WalRcv->ready_to_display && WalRcv->sender_host[0] != '\0';
  memcpy(host, WalRcv->sender_host, NI_MAXHOST);
  *port = WalRcv->sender_port;
  SpinLockRelease(&WalRcv->mutex);
  return known;
}

}  // namespace

void require_primary() {
  if (!RecoveryInProgress()) return;
  char host[NI_MAXHOST];
  int port;
  bool known = sender(host, &port);
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("cannot read documents on a hot standby"),
                  errdetail("A snapshot that is taken during recovery has no version."),
                  known ? errhint("Connect to the server that this one streams from: host %s, port %d.", host, port)
                        : errhint("Connect to the primary server.")));
}

void require_reading_transaction() {
  if (XactIsoLevel != XACT_READ_COMMITTED && XactIsoLevel != XACT_READ_UNCOMMITTED)
    ereport(ERROR, (errcode(ERRCODE_INVALID_TRANSACTION_STATE),
                    errmsg("documents can be read at isolation level READ COMMITTED only"),
                    errdetail("Each call needs a snapshot that is taken after its locks."),
                    errhint("Start the transaction with BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY.")));
  if (!XactReadOnly)
    ereport(ERROR, (errcode(ERRCODE_INVALID_TRANSACTION_STATE),
                    errmsg("documents can be read in a read-only transaction only"),
                    errhint("Start the transaction with BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY.")));
}

void require_no_transaction_id() {
  if (!TransactionIdIsValid(GetTopTransactionIdIfAny())) return;
  ereport(ERROR, (errcode(ERRCODE_INVALID_TRANSACTION_STATE),
                  errmsg("cannot read documents in a transaction that has an id of its own"),
                  errdetail("The transaction would count as ended in the version of what it reads."),
                  errhint("Read in a transaction that has written nothing.")));
}

void require_contains(const PgSnapshot* snapshot, const PgSnapshot* at_least) {
  if (snapshot_contains(snapshot, at_least)) return;
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                  errmsg("snapshot %s does not contain snapshot %s", snapshot_text(snapshot), snapshot_text(at_least)),
                  errdetail("Documents of a window must be read in a snapshot that has seen the whole window."),
                  errhint("The database may have been restored or promoted since: SELECT conveyor.resync_all(...) "
                          "for the delivery.")));
}

}  // namespace conveyor
