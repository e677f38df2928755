#include "log/scan.hpp"

#include "log/marks.hpp"
#include "log/segments.hpp"

#include <algorithm>

namespace conveyor {

namespace {

// A row's columns as they lie in a tuple: all are NOT NULL and of fixed width up to the last.
struct RowHead {
  uint64 xid;
  TimestampTz flushed_at;
  int32 capture;
  int32 changes;
  char kind;
};
constexpr Size entries_offset = offsetof(RowHead, kind) + 1;

}  // namespace

struct LogScan {
  MemoryContext context;  // everything here
  MemoryContext row;      // one row's out-of-line entries
  Snapshot snapshot;
  const PgSnapshot* cursor;  // null: everything
  uint64 xmin;               // transactions below it are inside the cursor
  const PgSnapshot* end;     // null: all that the snapshot sees
  int32* captures;           // ascending; null: all
  int ncaptures;
  Segments* segments;
  int segment;  // the one being read; -1 before the first
  Oid file;
  BlockNumber block, blocks;  // `block`: the one to be read next
  uint64 pages;
  BufferAccessStrategy strategy;

  // Rows of the page that was read last: `page` is a copy, so that nothing stays pinned between calls.
  int nrows, next_row;
  OffsetNumber rows[MaxHeapTuplesPerPage];
  PGAlignedBlock page;
};

namespace {

LogScan* new_scan(Snapshot snapshot, uint64 xmin) {
  MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_conveyor log scan", ALLOCSET_DEFAULT_SIZES);
  auto* scan = static_cast<LogScan*>(MemoryContextAllocZero(context, sizeof(LogScan)));
  scan->context = context;
  scan->row = AllocSetContextCreate(context, "pg_conveyor log row", ALLOCSET_DEFAULT_SIZES);
  scan->snapshot = snapshot;
  scan->xmin = xmin;
  scan->segment = -1;
  MemoryContext before = MemoryContextSwitchTo(context);
  scan->strategy = GetAccessStrategy(BAS_BULKREAD);
  MemoryContextSwitchTo(before);
  return scan;
}

PgSnapshot* copy_of(const PgSnapshot* snapshot) {
  auto* copy = static_cast<PgSnapshot*>(palloc(VARSIZE(snapshot)));
  memcpy(copy, snapshot, VARSIZE(snapshot));
  return copy;
}

}  // namespace

LogScan* log_scan_begin(Snapshot snapshot, const PgSnapshot* cursor, const int32* captures, int ncaptures) {
  LogScan* scan = new_scan(snapshot, cursor == nullptr ? 0 : cursor->xmin);
  MemoryContext before = MemoryContextSwitchTo(scan->context);
  if (cursor != nullptr) scan->cursor = copy_of(cursor);
  if (captures != nullptr) {
    scan->captures = static_cast<int32*>(palloc(sizeof(int32) * Max(ncaptures, 1)));
    std::copy(captures, captures + ncaptures, scan->captures);
    std::sort(scan->captures, scan->captures + ncaptures);
    scan->ncaptures = ncaptures;
  }
  scan->segments = read_segments();
  MemoryContextSwitchTo(before);
  return scan;
}

LogScan* log_scan_segment(Snapshot snapshot, Oid segment, uint64 xmin) {
  LogScan* scan = new_scan(snapshot, xmin);
  scan->segments =
      static_cast<Segments*>(MemoryContextAlloc(scan->context, offsetof(Segments, relations) + sizeof(Oid)));
  scan->segments->count = 1;
  scan->segments->relations[0] = segment;
  return scan;
}

namespace {

bool concerns(const LogScan* scan, int32 capture) {
  return scan->captures == nullptr || std::binary_search(scan->captures, scan->captures + scan->ncaptures, capture);
}

bool wanted(const LogScan* scan, const RowHead* row) {
  if (row->xid < scan->xmin || (scan->cursor != nullptr && snapshot_contains(scan->cursor, row->xid))) return false;
  if (scan->end != nullptr && !snapshot_contains(scan->end, row->xid)) return false;
  return row->kind == static_cast<char>(LogKind::overflow) || concerns(scan, row->capture);
}

const RowHead* row_head(const HeapTupleData* tuple) {
  return reinterpret_cast<const RowHead*>(reinterpret_cast<const char*>(tuple->t_data) + tuple->t_data->t_hoff);
}

HeapTupleData tuple_at(const LogScan* scan, Page page, OffsetNumber offset) {
  HeapTupleData tuple;
  ItemId item = PageGetItemId(page, offset);
  tuple.t_data = reinterpret_cast<HeapTupleHeader>(PageGetItem(page, item));
  tuple.t_len = ItemIdGetLength(item);
  tuple.t_tableOid = scan->segments->relations[scan->segment];
  ItemPointerSet(&tuple.t_self, scan->block, offset);
  return tuple;
}

void enter_segment(LogScan* scan, int segment_number) {
  scan->segment = segment_number;
  Relation segment = table_open(scan->segments->relations[scan->segment], AccessShareLock);
  scan->file = compat::relation_file(segment);
  scan->blocks = RelationGetNumberOfBlocks(segment);
  mark_segment(segment, scan->blocks);
  scan->block = first_block_for(segment, scan->xmin);
  table_close(segment, NoLock);  // the lock keeps the file until the transaction ends
}

// Goes on to the next segment; false when there is none.
bool next_segment(LogScan* scan) {
  if (scan->segment + 1 >= scan->segments->count) {
    scan->segment = scan->segments->count;
    return false;
  }
  enter_segment(scan, scan->segment + 1);
  return true;
}

void read_page(LogScan* scan) {
  CHECK_FOR_INTERRUPTS();
  Relation segment = table_open(scan->segments->relations[scan->segment], NoLock);
  Buffer buffer = ReadBufferExtended(segment, MAIN_FORKNUM, scan->block, RBM_NORMAL, scan->strategy);
  LockBuffer(buffer, BUFFER_LOCK_SHARE);
  Page page = BufferGetPage(buffer);
  OffsetNumber last = PageIsNew(page) ? 0 : PageGetMaxOffsetNumber(page);
  scan->nrows = scan->next_row = 0;
  for (OffsetNumber offset = FirstOffsetNumber; offset <= last; offset++) {
    if (!ItemIdIsNormal(PageGetItemId(page, offset))) continue;
    HeapTupleData tuple = tuple_at(scan, page, offset);
    if (wanted(scan, row_head(&tuple)) && HeapTupleSatisfiesVisibility(&tuple, scan->snapshot, buffer)) {
      scan->rows[scan->nrows++] = offset;
    }
  }
  if (scan->nrows > 0) memcpy(scan->page.data, page, BLCKSZ);
  UnlockReleaseBuffer(buffer);
  table_close(segment, NoLock);
  scan->pages++;
}

// An overflow row names captures in its entries.
bool overflow_concerns(const LogScan* scan, const LogRow* row) {
  if (scan->captures == nullptr) return true;
  for (int32 at = 0; at + static_cast<int32>(sizeof(int32)) <= row->length; at += sizeof(int32)) {
    int32 capture;
    memcpy(&capture, row->entries + at, sizeof capture);
    if (concerns(scan, capture)) return true;
  }
  return false;
}

void decode_row(LogScan* scan, const HeapTupleData* tuple, LogRow* row) {
  const RowHead* head = row_head(tuple);
  *row = {head->xid, head->flushed_at, head->capture, head->changes, static_cast<LogKind>(head->kind), nullptr, 0};
  const char* start = reinterpret_cast<const char*>(head);
  auto* entries = reinterpret_cast<struct varlena*>(
      const_cast<char*>(start + att_align_pointer(entries_offset, TYPALIGN_INT, -1, start + entries_offset)));
  if (VARATT_IS_EXTERNAL(entries) || VARATT_IS_COMPRESSED(entries)) {
    MemoryContextReset(scan->row);
    MemoryContext before = MemoryContextSwitchTo(scan->row);
    entries = pg_detoast_datum(entries);
    MemoryContextSwitchTo(before);
  }
  row->entries = VARDATA_ANY(entries);
  row->length = static_cast<int32>(VARSIZE_ANY_EXHDR(entries));
}

}  // namespace

bool log_scan_next(LogScan* scan, LogRow* row) {
  for (;;) {
    while (scan->next_row < scan->nrows) {
      HeapTupleData tuple = tuple_at(scan, scan->page.data, scan->rows[scan->next_row++]);
      decode_row(scan, &tuple, row);
      if (row->kind != LogKind::overflow || overflow_concerns(scan, row)) return true;
    }
    while (scan->segment < 0 || scan->block >= scan->blocks) {
      if (scan->segment >= scan->segments->count || !next_segment(scan)) return false;
    }
    read_page(scan);
    scan->block++;
  }
}

uint64 log_scan_ahead(const LogScan* scan, const LogRow& row) {
  return static_cast<uint64>(row.changes) * static_cast<uint64>(scan->nrows) * (scan->blocks - scan->block + 1);
}

void log_scan_until(LogScan* scan, const PgSnapshot* end) {
  MemoryContext before = MemoryContextSwitchTo(scan->context);
  scan->end = copy_of(end);
  MemoryContextSwitchTo(before);
}

bool log_scan_go(LogScan* scan, const LogPlace& place) {
  const Oid* first = scan->segments->relations;
  const Oid* found = std::find(first, first + scan->segments->count, place.segment);
  if (found != first + scan->segments->count) {
    enter_segment(scan, static_cast<int>(found - first));
    if (scan->file == place.file && place.block < scan->blocks) {
      scan->block = place.block;
      read_page(scan);
      scan->block++;
      while (scan->next_row < scan->nrows && scan->rows[scan->next_row] < place.item) scan->next_row++;
      if (scan->next_row < scan->nrows && scan->rows[scan->next_row] == place.item) return true;
    }
  }
  scan->segment = -1;
  scan->nrows = scan->next_row = 0;
  return false;
}

LogPlace log_scan_place(const LogScan* scan) {
  return {scan->segments->relations[scan->segment], scan->file, scan->block - 1, scan->rows[scan->next_row - 1]};
}

uint64 log_scan_pages(const LogScan* scan) { return scan->pages; }

void log_scan_end(LogScan* scan) { MemoryContextDelete(scan->context); }

}  // namespace conveyor
