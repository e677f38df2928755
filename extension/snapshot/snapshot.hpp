// Versions and the order of snapshots: the two facts on which "any order is right" stands.
//
// A version is f(S) = xmax(S) - number of top-level transactions running in S, each counted once (PREPARE TRANSACTION
// lists one twice for a moment; PgSnapshot has it once). It never falls from an older snapshot to a newer one and rises
// with every transaction that ends.
#pragma once

#include "compat.hpp"
#include "log/cursor.hpp"

namespace conveyor {

// The epoch of a database fills the bits above the transaction counter.
constexpr int kEpochShift = 48;
constexpr int kMaxEpoch = (1 << 15) - 1;

// True where every transaction that has ended in `earlier` has ended in `later` too. Pure.
bool snapshot_contains(const PgSnapshot* later, const PgSnapshot* earlier);

// f(S). Pure.
inline uint64 snapshot_progress(const PgSnapshot* snapshot) { return snapshot->xmax - snapshot->nxip; }

// f(S) with the epoch in the high bits; an error where either does not fit.
uint64 snapshot_version(const PgSnapshot* snapshot, int epoch);

// In the text form of pg_snapshot.
char* snapshot_text(const PgSnapshot* snapshot);

}  // namespace conveyor
