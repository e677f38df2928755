// window_keys(delivery): the documents that the changes between the delivery's cursor and S touch.
//
// The log is read in slices. A slice collects the distinct recorded images of each capture until they fill
// conveyor.window_memory; then each watch makes document keys of them in S, and the next slice begins. So memory is
// bounded on the side of the changes by the slice and on the side of the documents by the frame, however many documents
// one change touches. S contains the cursor and every change that the slices hold (they are visible in it), so a key
// query that runs in S finds the documents of old and new images.
#include "fetch/answer.hpp"
#include "log/scan.hpp"
#include "settings.hpp"
#include "snapshot/require.hpp"
#include "window/changed.hpp"
#include "window/coalesce.hpp"
#include "window/key_text.hpp"
#include "window/watches.hpp"

namespace conveyor {

namespace {

struct WindowAnswer {
  Answer base;
  Watches* watches;
  LogScan* scan;
  KeySet signals;  // reported: each once
  bool exhausted;  // the scan is at its end
  bool resolving;  // the slice is complete
  int pair;        // being resolved
  Size entry;      // next one of that pair, without SQL
  KeySet sent;     // ids, so that most are sent once; forgets when it is full
  bool distinct;   // a slice gives each id once by itself
  Changed changed;
  KeyWriter writer;
  MemoryContext row;
  StringInfoData id;
};

Size memory_limit() { return static_cast<Size>(settings.window_memory) * 1024; }

// One watch, one definition of its trigger, and the recorded columns are the key: distinct images are distinct ids.
bool gives_distinct_ids(const Watches* watches, int keys) {
  if (watches->pairs != 1 || watches->pair[0].plain == nullptr) return false;
  const WatchedCapture* pair = &watches->pair[0];
  if (pair->capture->definition->ncolumns != keys) return false;
  for (int i = 0; i < keys; i++)
    for (int j = 0; j < i; j++)
      if (pair->plain[i] == pair->plain[j]) return false;
  return true;
}

void open(Answer* base, FunctionCallInfo fcinfo) {
  WindowAnswer* answer = reinterpret_cast<WindowAnswer*>(base);
  const Feed* feed = base->feed;
  if (feed->cursor == nullptr)
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("delivery \"%s\" has no cursor", feed->delivery),
             errhint("SELECT conveyor.resync_all(%s); gives it one.", quote_literal_cstr(feed->delivery))));
  require_contains(base->bounds, feed->cursor);
  answer->watches = watches_load(feed, function_owner(fcinfo->flinfo->fn_oid));
  int32* captures = static_cast<int32*>(palloc(sizeof(int32) * (answer->watches->captures + 1)));
  for (int i = 0; i < answer->watches->captures; i++) captures[i] = answer->watches->capture[i].definition->capture;
  answer->distinct = gives_distinct_ids(answer->watches, feed->keys);
  answer->scan = log_scan_begin(base->snapshot, feed->cursor, captures, answer->watches->captures);
  key_set_init(&answer->signals);
  key_set_init(&answer->sent);
  key_writer_init(&answer->writer, feed);
  initStringInfo(&answer->id);
  answer->row = AllocSetContextCreate(CurrentMemoryContext, "pg_conveyor window row", ALLOCSET_DEFAULT_SIZES);
}

// Puts a record's frame aside when it is full.
bool rotate_full(WindowAnswer* answer) {
  if (!frame_full(&answer->base.frames)) return false;
  frame_rotate(&answer->base.frames);
  return true;
}

void signal(WindowAnswer* answer, char kind, const char* reason) {
  const char* line = psprintf("%c%s", kind, reason);
  uint32 length = static_cast<uint32>(strlen(line));
  Size offset;
  if (key_set_add(&answer->signals, line, length, key_hash(line, length), &offset))
    frame_signal(&answer->base.frames, kind, bytes_of(reason));
}

void signal_row(WindowAnswer* answer, const LogRow& row) {
  const WindowCapture* capture = watches_capture(answer->watches, row.capture);
  const char* relation = capture != nullptr ? relation_name(capture->definition->relation) : nullptr;
  if (relation == nullptr) relation = "a table that is gone";
  switch (row.kind) {
    case LogKind::keys:
      signal(answer, 'r', capture->lost);
      break;
    case LogKind::truncated:
      signal(answer, 't', psprintf("%s was truncated", relation));
      break;
    case LogKind::recheck:
      signal(answer, 'r', pnstrdup(row.entries, row.length));
      break;
    default:
      signal(answer, 'o', "the change log was full: keys are missing");
      break;
  }
}

// Collects a slice, of one row of the log at least. False when a frame is ready before the slice is complete.
bool fill(WindowAnswer* answer) {
  do {
    CHECK_FOR_INTERRUPTS();
    LogRow row;
    if (!log_scan_next(answer->scan, &row)) {
      answer->exhausted = true;
      break;
    }
    if (row.kind == LogKind::keys) {
      WindowCapture* capture = watches_capture(answer->watches, row.capture);
      if (capture != nullptr && capture->used) {
        capture->entries.expected = log_scan_ahead(answer->scan, row);
        capture->entries.expected_room = memory_limit() / 4;
        coalesce(capture, row.entries, row.length);
      }
      if (capture == nullptr || capture->lost == nullptr) continue;
    }
    MemoryContext old = MemoryContextSwitchTo(answer->row);
    signal_row(answer, row);
    MemoryContextSwitchTo(old);
    MemoryContextReset(answer->row);
    if (rotate_full(answer)) return false;
  } while (slice_memory(answer->watches) < memory_limit());
  return true;
}

// True when a frame has become ready.
bool send(WindowAnswer* answer, const char* id, uint32 length) {
  if (!answer->distinct) {
    if (key_set_memory_after(&answer->sent, length) > memory_limit()) key_set_clear(&answer->sent);
    Size offset;
    if (!key_set_add(&answer->sent, id, length, key_hash(id, length), &offset)) return false;
  }
  frame_key(&answer->base.frames, {id, static_cast<int>(length)});
  return rotate_full(answer);
}

bool take_id(void* taker, TupleTableSlot* slot) {
  WindowAnswer* answer = static_cast<WindowAnswer*>(taker);
  bool null;
  Datum datum = slot_getattr(slot, 1, &null);
  if (null) return true;  // touches no document
  struct varlena* id = PG_DETOAST_DATUM_PACKED(datum);
  bool ready = send(answer, VARDATA_ANY(id), static_cast<uint32>(VARSIZE_ANY_EXHDR(id)));
  if (PointerGetDatum(id) != datum) pfree(id);
  return !ready;
}

// So many bytes of entries are decoded before what they left in memory goes.
constexpr Size kGarbage = 4096;

// A key query that only picks columns: ids straight from the entries. False when a frame is ready before the end.
bool resolve_plain(WindowAnswer* answer, const WatchedCapture* pair) {
  const CaptureDefinition* definition = pair->capture->definition;
  const KeySet* entries = &pair->capture->entries;
  MemoryContext old = MemoryContextSwitchTo(answer->row);
  Datum* recorded = static_cast<Datum*>(MemoryContextAlloc(answer->base.context, sizeof(Datum) * definition->ncolumns));
  bool* nulls = static_cast<bool*>(MemoryContextAlloc(answer->base.context, sizeof(bool) * definition->ncolumns));
  Datum* key = static_cast<Datum*>(MemoryContextAlloc(answer->base.context, sizeof(Datum) * answer->writer.keys));
  bool ready = false;
  Size garbage = 0;
  while (!ready && answer->entry < entries->used) {
    uint32 size = key_set_length_at(entries, answer->entry);
    decode_entry(definition, key_set_bytes_at(entries, answer->entry), static_cast<int32>(size), recorded, nulls);
    answer->entry = key_set_next(entries, answer->entry);
    bool null = false;
    for (int i = 0; i < answer->writer.keys; i++) {
      int column = pair->mapping[pair->plain[i]];
      null = null || nulls[column];
      key[i] = recorded[column];
    }
    if (null) continue;
    key_write(&answer->writer, key, &answer->id);
    ready = send(answer, answer->id.data, static_cast<uint32>(answer->id.len));
    garbage += size;
    if (garbage > kGarbage) {
      MemoryContextReset(answer->row);
      garbage = 0;
    }
  }
  pfree(recorded);
  pfree(nulls);
  pfree(key);
  MemoryContextSwitchTo(old);
  MemoryContextReset(answer->row);
  return !ready;
}

bool resolve_query(WindowAnswer* answer, const WatchedCapture* pair) {
  if (!cursor_is_open(&answer->base.cursor))
    changed_open(&answer->changed, answer->base.feed, pair, &answer->base.cursor);
  if (!cursor_run(&answer->base.cursor, take_id, answer)) return false;
  changed_close(&answer->changed);
  return true;
}

bool resolve(WindowAnswer* answer) {
  for (; answer->pair < answer->watches->pairs; answer->pair++, answer->entry = 0) {
    const WatchedCapture* pair = &answer->watches->pair[answer->pair];
    if (pair->capture->entries.count == 0) continue;
    bool complete = pair->plain != nullptr ? resolve_plain(answer, pair) : resolve_query(answer, pair);
    if (!complete) return false;
  }
  return true;
}

bool more(Answer* base) {
  WindowAnswer* answer = reinterpret_cast<WindowAnswer*>(base);
  for (;;) {
    if (!answer->resolving) {
      if (!fill(answer)) return false;
      answer->resolving = true;
      answer->pair = 0;
      answer->entry = 0;
    }
    if (!resolve(answer)) return false;
    answer->resolving = false;
    slice_clear(answer->watches);
    if (answer->exhausted) return true;
  }
}

void close(Answer* base) {
  WindowAnswer* answer = reinterpret_cast<WindowAnswer*>(base);
  changed_close(&answer->changed);
  log_scan_end(answer->scan);
}

constexpr AnswerKind kWindow = {sizeof(WindowAnswer), open, more, close};

}  // namespace

}  // namespace conveyor

CONVEYOR_FUNCTION(window_keys) { return conveyor::answer_next(fcinfo, &conveyor::kWindow, -1); }
