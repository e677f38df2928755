#include "follow/changes.hpp"

#include "log/scan.hpp"
#include "settings.hpp"
#include "window/coalesce.hpp"

namespace conveyor::follow {

namespace {

// Which columns of a capture make the key; it may record others for feeds.
struct Projection {
  int* columns;     // by key column; NULL: it does not have them all, and nothing of it belongs to the job
  bool whole;       // it has no others
  bool other_type;  // what it recorded is of a type that the column no longer has
};

}  // namespace

struct Changes {
  MemoryContext context;
  MemoryContext slice;  // the keys handed out
  const migrate::Job* job;
  TupleDesc shape;
  int most;
  Watches captures;  // as for a feed's window, without watches
  Projection* projections;
  LogScan* scan;
  // The row being read: its entries from reader.at on are still to come.
  LogRow row;
  WindowCapture* capture;  // NULL: none
  EntryReader reader;
  ChangesPlace place;
  int64 seen;
  bool exhausted;
  const char* incomplete;
};

namespace {

Projection project(const Changes* changes, const CaptureDefinition* definition) {
  const migrate::Job* job = changes->job;
  Projection projection = {static_cast<int*>(palloc(sizeof(int) * job->keys)), definition->ncolumns == job->keys,
                           false};
  for (int i = 0; i < job->keys; i++) {
    int column = 0;
    while (column < definition->ncolumns && strcmp(definition->columns[column].name, job->key[i].name) != 0) column++;
    if (column == definition->ncolumns) return {nullptr, false, false};
    projection.columns[i] = column;
    if (getBaseType(definition->columns[column].type) != job->key[i].type) projection.other_type = true;
  }
  return projection;
}

void incomplete(Changes* changes, const char* reason) {
  if (changes->incomplete == nullptr) changes->incomplete = MemoryContextStrdup(changes->context, reason);
}

void note_signal(Changes* changes, const LogRow& row) {
  const char* source = changes->job->source_name;
  switch (row.kind) {
    case LogKind::truncated:
      return incomplete(changes, psprintf("%s was truncated", source));
    case LogKind::recheck:
      return incomplete(changes, pnstrdup(row.entries, row.length));
    default:
      return incomplete(changes, "the change log was full: keys are missing");
  }
}

uint64 entries(const Changes* changes) {
  uint64 count = 0;
  for (int i = 0; i < changes->captures.captures; i++) count += changes->captures.capture[i].entries.count;
  return count;
}

// The next row, from its entry at `bytes` on; false at the end.
bool next_row(Changes* changes, int32 bytes) {
  changes->capture = nullptr;
  if (!log_scan_next(changes->scan, &changes->row)) return false;
  const LogRow& row = changes->row;
  changes->place = {log_scan_place(changes->scan), row.length};
  if (row.kind != LogKind::keys) {
    note_signal(changes, row);
    return true;
  }
  WindowCapture* capture = watches_capture(&changes->captures, row.capture);
  if (capture == nullptr) return true;
  if (changes->projections[capture - changes->captures.capture].other_type)
    incomplete(changes, psprintf("a key column of %s has changed its type", changes->job->source_name));
  if (!capture->used) return true;
  changes->capture = capture;
  changes->reader = read_entries(capture->definition, row.entries + bytes, row.length - bytes);
  return true;
}

// Collects distinct entries until there are enough for a slice. It may end in the middle of a row, which can have
// thousands.
void collect(Changes* changes) {
  auto most = static_cast<uint64>(changes->most);
  while (entries(changes) < most &&
         slice_memory(&changes->captures) < static_cast<Size>(settings.window_memory) * 1024) {
    CHECK_FOR_INTERRUPTS();
    if (changes->capture == nullptr) {
      changes->exhausted = !next_row(changes, 0);
      if (changes->exhausted) return;
      continue;
    }
    uint64 others = entries(changes) - changes->capture->entries.count;
    changes->seen += coalesce_some(changes->capture, &changes->reader, most - others);
    changes->place.bytes = static_cast<int32>(changes->reader.at - changes->row.entries);
    if (changes->reader.at == changes->reader.end) changes->capture = nullptr;
  }
}

// The tuple's columns as bytes: all are there, so equal bytes are equal keys.
bool is_new(KeySet* known, HeapTuple tuple) {
  const char* bytes = reinterpret_cast<const char*>(tuple->t_data) + tuple->t_data->t_hoff;
  auto length = static_cast<uint32>(tuple->t_len - tuple->t_data->t_hoff);
  Size offset;
  return key_set_add(known, bytes, length, key_hash(bytes, length), &offset);
}

void decode(Changes* changes, int number, Keys* keys, KeySet* known) {
  const WindowCapture* capture = &changes->captures.capture[number];
  const Projection* projection = &changes->projections[number];
  const CaptureDefinition* definition = capture->definition;
  auto* values = static_cast<Datum*>(palloc(sizeof(Datum) * definition->ncolumns));
  auto* nulls = static_cast<bool*>(palloc(sizeof(bool) * definition->ncolumns));
  auto* key = static_cast<Datum*>(palloc(sizeof(Datum) * changes->job->keys));
  auto* none = static_cast<bool*>(palloc0(sizeof(bool) * changes->job->keys));
  MemoryContext row = AllocSetContextCreate(CurrentMemoryContext, "pg_conveyor changed key", ALLOCSET_DEFAULT_SIZES);
  for (Size at = 0; at < capture->entries.used; at = key_set_next(&capture->entries, at)) {
    MemoryContext old = MemoryContextSwitchTo(row);
    decode_entry(definition, key_set_bytes_at(&capture->entries, at),
                 static_cast<int32>(key_set_length_at(&capture->entries, at)), values, nulls);
    MemoryContextSwitchTo(old);
    bool null = false;
    for (int i = 0; i < changes->job->keys; i++) {
      key[i] = values[projection->columns[i]];
      null = null || nulls[projection->columns[i]];
    }
    // A row whose key was NULL, before the column became NOT NULL, never was in a batch.
    if (!null) {
      HeapTuple tuple = heap_form_tuple(changes->shape, key, none);
      if (known == nullptr || is_new(known, tuple)) keys->tuples[keys->count++] = tuple;
    }
    MemoryContextReset(row);
  }
  MemoryContextDelete(row);
}

// Entries that hold more than the key, or are of several captures, may have one key several times.
bool may_repeat(const Changes* changes) {
  int filled = 0;
  for (int i = 0; i < changes->captures.captures; i++) {
    if (changes->captures.capture[i].entries.count == 0) continue;
    if (++filled > 1 || !changes->projections[i].whole) return true;
  }
  return false;
}

}  // namespace

Changes* changes_open(const migrate::Job* job, const int32* captures, int ncaptures, const PgSnapshot* cursor,
                      Snapshot snapshot, int most) {
  MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_conveyor changes", ALLOCSET_DEFAULT_SIZES);
  MemoryContext caller = MemoryContextSwitchTo(context);
  auto* changes = static_cast<Changes*>(palloc0(sizeof(Changes)));
  changes->context = context;
  changes->slice = AllocSetContextCreate(context, "pg_conveyor slice of changes", ALLOCSET_DEFAULT_SIZES);
  changes->job = job;
  changes->shape = key_shape(job);
  changes->most = most;
  changes->captures.captures = ncaptures;
  changes->captures.capture = static_cast<WindowCapture*>(palloc0(sizeof(WindowCapture) * (ncaptures + 1)));
  changes->projections = static_cast<Projection*>(palloc0(sizeof(Projection) * (ncaptures + 1)));
  for (int i = 0; i < ncaptures; i++) {
    WindowCapture* capture = &changes->captures.capture[i];
    capture->definition = capture_definition(captures[i]);
    key_set_init(&capture->entries);
    changes->projections[i] = project(changes, capture->definition);
    capture->used = changes->projections[i].columns != nullptr && !changes->projections[i].other_type;
  }
  changes->scan = log_scan_begin(snapshot, cursor, captures, ncaptures);
  MemoryContextSwitchTo(caller);
  return changes;
}

void changes_go_on(Changes* changes, const ChangesPlace& place, const PgSnapshot* end) {
  log_scan_until(changes->scan, end);
  changes->place = place;
  if (!OidIsValid(place.row.segment) || !log_scan_go(changes->scan, place.row)) return;
  next_row(changes, place.bytes);
}

ChangesPlace changes_place(const Changes* changes) { return changes->place; }

int64 changes_seen(const Changes* changes) { return changes->seen; }

Keys changes_next(Changes* changes) {
  Keys keys = {changes->shape, nullptr, 0};
  MemoryContextReset(changes->slice);
  slice_clear(&changes->captures);
  if (!changes->exhausted) collect(changes);
  uint64 count = entries(changes);
  if (count == 0) return keys;
  MemoryContext caller = MemoryContextSwitchTo(changes->slice);
  keys.tuples =
      static_cast<HeapTuple*>(MemoryContextAllocExtended(changes->slice, sizeof(HeapTuple) * count, MCXT_ALLOC_HUGE));
  KeySet known;
  bool repeat = may_repeat(changes);
  if (repeat) key_set_init(&known);
  for (int i = 0; i < changes->captures.captures; i++)
    if (changes->captures.capture[i].entries.count > 0) decode(changes, i, &keys, repeat ? &known : nullptr);
  MemoryContextSwitchTo(caller);
  return keys;
}

bool changes_at_end(const Changes* changes) { return changes->exhausted; }

const char* changes_incomplete(const Changes* changes) { return changes->incomplete; }

void changes_close(Changes* changes) {
  log_scan_end(changes->scan);
  MemoryContextDelete(changes->context);
}

}  // namespace conveyor::follow
