#include "log/segments.hpp"

#include "settings.hpp"

#include <bit>

namespace conveyor {

namespace {

// The writers' ring, as of the invalidation number `cached_at`. A stale one would be harmless.
Segments* cached = nullptr;
uint64 cached_at = 0;
uint64 invalidations = 0;
Oid segment_table = InvalidOid;

void forget(Datum, Oid relation) {
  if (!OidIsValid(relation) || relation == segment_table) invalidations++;
}

bool cache_is_valid() { return cached != nullptr && cached_at == invalidations; }

const Segments* writers_segments() {
  if (cache_is_valid()) return cached;
  segment_table = extension_table("log_segment");
  if (!OidIsValid(segment_table)) return nullptr;
  uint64 now = invalidations;  // one that comes while we read must count
  Segments* fresh = read_segments();
  Size size = offsetof(Segments, relations) + sizeof(Oid) * fresh->count;
  auto* copy = static_cast<Segments*>(MemoryContextAlloc(TopMemoryContext, size));
  memcpy(copy, fresh, size);
  pfree(fresh);
  if (cached != nullptr) pfree(cached);
  cached = copy;
  cached_at = now;
  return cached;
}

uint64 blocks_of(Oid relation) {
  if (!ConditionalLockRelationOid(relation, AccessShareLock)) return 0;
  Relation table = try_relation_open(relation, NoLock);
  uint64 blocks = 0;
  if (table != nullptr) {
    blocks = RelationGetNumberOfBlocks(table);
    if (OidIsValid(table->rd_rel->reltoastrelid)) blocks += blocks_of(table->rd_rel->reltoastrelid);
    relation_close(table, NoLock);
  }
  UnlockRelationOid(relation, AccessShareLock);
  return blocks;
}

}  // namespace

void follow_segments() { CacheRegisterRelcacheCallback(forget, static_cast<Datum>(0)); }

Oid extension_table(const char* name) {
  Oid schema = get_namespace_oid("conveyor", true);
  return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

Segments* read_segments() {
  Oid oid = extension_table("log_segment");
  if (!OidIsValid(oid)) {
    ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE), errmsg("table \"conveyor.log_segment\" does not exist"),
            errhint("Run CREATE EXTENSION pg_conveyor."));
  }
  Relation table = table_open(oid, AccessShareLock);
  Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  int room = 64;
  int count = 0;
  auto* numbers = static_cast<int32*>(palloc(sizeof(int32) * room));
  auto* relations = static_cast<Oid*>(palloc(sizeof(Oid) * room));
  TableScanDesc scan = table_beginscan(table, snapshot, 0, nullptr);
  HeapTuple row;
  while ((row = heap_getnext(scan, ForwardScanDirection)) != nullptr) {
    bool null;
    if (count == room) {
      room *= 2;
      numbers = static_cast<int32*>(repalloc(numbers, sizeof(int32) * room));
      relations = static_cast<Oid*>(repalloc(relations, sizeof(Oid) * room));
    }
    int32 number = DatumGetInt32(heap_getattr(row, 1, RelationGetDescr(table), &null));
    Oid relation = DatumGetObjectId(heap_getattr(row, 2, RelationGetDescr(table), &null));
    int at = count++;  // insertion sort: the rows are few and nearly in order
    for (; at > 0 && numbers[at - 1] > number; at--) {
      numbers[at] = numbers[at - 1];
      relations[at] = relations[at - 1];
    }
    numbers[at] = number;
    relations[at] = relation;
  }
  table_endscan(scan);
  UnregisterSnapshot(snapshot);
  table_close(table, AccessShareLock);
  if (count == 0) {
    ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED), errmsg("the change log has no segments"),
            errhint("Run SELECT conveyor.log_grow(16)."));
  }
  auto* segments = static_cast<Segments*>(palloc(offsetof(Segments, relations) + sizeof(Oid) * count));
  segments->count = count;
  memcpy(segments->relations, relations, sizeof(Oid) * count);
  pfree(numbers);
  pfree(relations);
  return segments;
}

int segment_of(uint64 xid, int count) {
  int shift = std::countr_zero(static_cast<unsigned>(settings.segment_transactions));
  return static_cast<int>((xid >> shift) % static_cast<uint64>(count));
}

Relation open_segment_for_writing(uint64 xid) {
  const Segments* segments = writers_segments();
  if (segments == nullptr) return nullptr;
  int own = segment_of(xid, segments->count);
  for (int i = 0; i < segments->count; i++) {
    Oid relation = segments->relations[(own + i) % segments->count];
    if (ConditionalLockRelationOid(relation, RowExclusiveLock)) return table_open(relation, NoLock);
    if (!cache_is_valid() && (segments = writers_segments()) == nullptr) return nullptr;
  }
  return table_open(segments->relations[own % segments->count], RowExclusiveLock);
}

uint64 segments_size() {
  Segments* segments = read_segments();
  uint64 blocks = 0;
  for (int i = 0; i < segments->count; i++) blocks += blocks_of(segments->relations[i]);
  pfree(segments);
  return blocks * BLCKSZ;
}

CONVEYOR_FUNCTION(log_size) { PG_RETURN_INT64(static_cast<int64>(segments_size())); }

// Statement trigger on conveyor.log_segment: plain rows send no relcache invalidation by themselves.
CONVEYOR_FUNCTION(log_segment_changed) {
  CacheInvalidateRelcacheByRelid(extension_table("log_segment"));
  return PointerGetDatum(nullptr);
}

}  // namespace conveyor
