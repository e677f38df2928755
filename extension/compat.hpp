// The server's headers, and every difference between PostgreSQL 15 and 18 that the extension meets. No other file tests
// PG_VERSION_NUM.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/explain.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/bufmgr.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
}

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "pg_conveyor supports PostgreSQL 15 to 18"
#endif

// The extension is built with hidden symbols; PostgreSQL 15 leaves this empty on Linux.
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))

// Defines the C function behind `conveyor.NAME`: CONVEYOR_FUNCTION(log_size) { … PG_RETURN_INT64(…); }
// In SQL: AS 'MODULE_PATHNAME', 'conveyor_NAME'. The prefix keeps our symbols apart from the server's.
#define CONVEYOR_FUNCTION(name)                        \
  extern "C" {                                         \
  PGDLLEXPORT Datum conveyor_##name(PG_FUNCTION_ARGS); \
  PG_FUNCTION_INFO_V1(conveyor_##name);                \
  }                                                    \
  extern "C" Datum conveyor_##name(PG_FUNCTION_ARGS)

// What ExecutorRun and its hook take.
#if PG_VERSION_NUM >= 180000
#define COMPAT_EXECUTOR_RUN_PARAMETERS QueryDesc *query, ScanDirection direction, uint64 count
#define COMPAT_EXECUTOR_RUN_ARGUMENTS query, direction, count
#else
#define COMPAT_EXECUTOR_RUN_PARAMETERS QueryDesc *query, ScanDirection direction, uint64 count, bool once
#define COMPAT_EXECUTOR_RUN_ARGUMENTS query, direction, count, once
#endif

namespace conveyor::compat {

// The number of a relation's file: it changes when the relation is emptied or rewritten.
inline Oid relation_file(Relation relation) {
#if PG_VERSION_NUM >= 160000
  return relation->rd_locator.relNumber;
#else
  return relation->rd_node.relNode;
#endif
}

// Something in the session's state of an open file that the server forgets when the file is cut off (VACUUM), not later
// than the next lock on the relation is taken, and when it is closed. The size of a fork that tables do not have
// serves: nobody else asks for it.
inline bool is_file_remembered(Relation relation) {
  return RelationGetSmgr(relation)->smgr_cached_nblocks[INIT_FORKNUM] != InvalidBlockNumber;
}
inline void remember_file(Relation relation) { RelationGetSmgr(relation)->smgr_cached_nblocks[INIT_FORKNUM] = 0; }

// Gives the relation a new, empty file; the old one goes at commit. Needs ACCESS EXCLUSIVE.
inline void set_new_file(Relation relation) {
#if PG_VERSION_NUM >= 160000
  RelationSetNewRelfilenumber(relation, relation->rd_rel->relpersistence);
#else
  RelationSetNewRelfilenode(relation, relation->rd_rel->relpersistence);
#endif
}

// Whether this session holds the lock in exactly this mode.
inline bool holds_lock(const LOCKTAG* tag, LOCKMODE mode) {
#if PG_VERSION_NUM >= 170000
  return LockHeldByMe(tag, mode, false);
#else
  return LockHeldByMe(tag, mode);
#endif
}

inline void rebuild_indexes(Oid relation) {
  ReindexParams params = {};
#if PG_VERSION_NUM >= 170000
  reindex_relation(nullptr, relation, 0, &params);
#else
  reindex_relation(relation, 0, &params);
#endif
}

inline IndexScanDesc begin_index_scan(Relation table, Relation index, Snapshot snapshot, int keys) {
#if PG_VERSION_NUM >= 180000
  return index_beginscan(table, index, snapshot, nullptr, keys, 0);
#else
  return index_beginscan(table, index, snapshot, keys, 0);
#endif
}

// Wakes the process that writes WAL in the background. In signal handlers too.
inline void wake_wal_writer() {
#if PG_VERSION_NUM >= 180000
  ProcNumber writer = ProcGlobal->walwriterProc;
  if (writer != INVALID_PROC_NUMBER) SetLatch(&GetPGProcByNumber(writer)->procLatch);
#else
  Latch* writer = ProcGlobal->walwriterLatch;
  if (writer != nullptr) SetLatch(writer);
#endif
}

// May the role call the function?
inline AclResult may_execute(Oid function, Oid role) {
#if PG_VERSION_NUM >= 160000
  return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE);
#else
  return pg_proc_aclcheck(function, role, ACL_EXECUTE);
#endif
}

// What the columns of a join (and, from 18 on, of a GROUP BY) stand for; NIL for other entries of a range table.
inline List* entry_expressions(const RangeTblEntry* entry) {
#if PG_VERSION_NUM >= 180000
  if (entry->rtekind == RTE_GROUP) return entry->groupexprs;
#endif
  return entry->rtekind == RTE_JOIN ? entry->joinaliasvars : NIL;
}

}  // namespace conveyor::compat
