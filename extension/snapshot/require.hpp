// What must hold before a snapshot may be taken that versions documents. Each check is an error of its own.
#pragma once

#include "snapshot/snapshot.hpp"

namespace conveyor {

// Snapshots of a standby list no running transactions, so they have no version.
void require_primary();

// READ COMMITTED (each statement its own snapshot) and READ ONLY (nothing can assign a transaction id).
void require_reading_transaction();

// A snapshot does not list its own session's transaction as running.
void require_no_transaction_id();

// The snapshot of a fetch must have seen everything that the window has seen.
void require_contains(const PgSnapshot* snapshot, const PgSnapshot* at_least);

}  // namespace conveyor
