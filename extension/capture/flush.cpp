#include "capture/flush.hpp"

#include "capture/buffer.hpp"
#include "failpoint.hpp"
#include "log/write.hpp"
#include "settings.hpp"

extern "C" {
#include "utils/resowner.h"
}

namespace conveyor {

namespace {

// A row in the making.
struct Pack {
  int32 capture;
  int32 changes;
  int32 length;
  Pack* next;
  alignas(int32) char row[VARHDRSZ + packed_row];
};

// Captures that an overflow row of this transaction names already, with the level at which it was written.
struct Overflown {
  int32 capture;
  int level;
};
Overflown* overflown = nullptr;
int noverflown = 0;
int overflown_room = 0;

struct varlena* as_varlena(const char* bytes, Size length) {
  auto* value = static_cast<struct varlena*>(palloc(VARHDRSZ + length));
  SET_VARSIZE(value, VARHDRSZ + length);
  memcpy(VARDATA(value), bytes, length);
  return value;
}

void write_one(LogWriter* writer, LogKind kind, int32 capture, int32 changes, const char* bytes, Size length) {
  struct varlena* value = as_varlena(bytes, length);
  log_write(writer, kind, capture, changes, value);
  pfree(value);
}

void write_pack(LogWriter* writer, Pack* pack) {
  failpoint("log_pack");
  SET_VARSIZE(pack->row, VARHDRSZ + pack->length);
  log_write(writer, LogKind::keys, pack->capture, pack->changes, reinterpret_cast<struct varlena*>(pack->row));
  pack->changes = pack->length = 0;
}

Pack* pack_of(Pack** packs, int32 capture) {
  for (Pack* pack = *packs; pack != nullptr; pack = pack->next) {
    if (pack->capture == capture) return pack;
  }
  auto* pack = static_cast<Pack*>(palloc(sizeof(Pack)));
  pack->capture = capture;
  pack->changes = pack->length = 0;
  pack->next = *packs;
  *packs = pack;
  return pack;
}

void write_packed(LogWriter* writer, uint32 first) {
  Pack* packs = nullptr;
  Pack* pack = nullptr;
  for (uint32 i = first; i < buffer.count(); i++) {
    BufferedEntry entry = buffer.entry(i);
    if (entry.kind != LogKind::keys || entry.length > static_cast<uint32>(packed_row)) {
      write_one(writer, entry.kind, entry.capture, entry.kind == LogKind::keys ? 1 : 0, entry.bytes, entry.length);
      continue;
    }
    if (pack == nullptr || pack->capture != entry.capture) pack = pack_of(&packs, entry.capture);
    if (pack->length + static_cast<int32>(entry.length) > packed_row) write_pack(writer, pack);
    memcpy(pack->row + VARHDRSZ + pack->length, entry.bytes, entry.length);
    pack->length += static_cast<int32>(entry.length);
    pack->changes++;
  }
  while (packs != nullptr) {
    pack = packs;
    packs = pack->next;
    if (pack->changes > 0) write_pack(writer, pack);
    pfree(pack);
  }
}

// The distinct captures of the entries from `first` on (palloc).
int32* captures_from(uint32 first, int* count) {
  int room = 16;
  auto* captures = static_cast<int32*>(palloc(sizeof(int32) * room));
  *count = 0;
  for (uint32 i = first; i < buffer.count(); i++) {
    int32 capture = buffer.entry(i).capture;
    int at = *count - 1;
    while (at >= 0 && captures[at] != capture) at--;
    if (at >= 0) continue;
    if (*count == room) captures = static_cast<int32*>(repalloc(captures, sizeof(int32) * (room *= 2)));
    captures[(*count)++] = capture;
  }
  return captures;
}

bool is_overflown(int32 capture) {
  for (int i = 0; i < noverflown; i++) {
    if (overflown[i].capture == capture) return true;
  }
  return false;
}

void note_overflown(int32 capture) {
  if (noverflown == overflown_room) {
    int room = Max(overflown_room * 2, 16);
    Size size = sizeof(Overflown) * room;
    overflown = static_cast<Overflown*>(overflown == nullptr ? MemoryContextAlloc(TopMemoryContext, size)
                                                             : repalloc(overflown, size));
    overflown_room = room;
  }
  overflown[noverflown++] = {capture, GetCurrentTransactionNestLevel()};
}

// One row for all captures that have none yet in this transaction.
void write_overflow(LogWriter* writer, uint32 first) {
  int count;
  int32* captures = captures_from(first, &count);
  int fresh = 0;
  for (int i = 0; i < count; i++) {
    if (!is_overflown(captures[i])) captures[fresh++] = captures[i];
  }
  if (fresh > 0) {
    write_one(writer, LogKind::overflow, 0, 0, reinterpret_cast<char*>(captures), sizeof(int32) * fresh);
  }
  for (int i = 0; i < fresh; i++) note_overflown(captures[i]);
  pfree(captures);
}

void write_entries(uint32 first) {
  LogWriter writer;
  if (!log_write_begin(&writer)) return;
  Size bytes = 0;
  for (uint32 i = first; i < buffer.count(); i++) bytes += buffer.entry(i).length;
  if (log_is_full(bytes)) {
    write_overflow(&writer, first);
  } else {
    write_packed(&writer, first);
  }
  log_write_end(&writer);
}

// What is written instead of entries that cannot be: their relations must be re-checked.
void write_recheck(uint32 first, const char* reason) {
  LogWriter writer;
  if (!log_write_begin(&writer)) return;
  int count;
  int32* captures = captures_from(first, &count);
  for (int i = 0; i < count; i++) {
    write_one(&writer, LogKind::recheck, captures[i], 0, reason, strlen(reason));
  }
  pfree(captures);
  log_write_end(&writer);
}

// conveyor.on_capture_error = mark. A subtransaction keeps the error from the application's own; even so it fails where
// the mark cannot be written either, because a change must never be lost in silence.
void write_or_mark(uint32 first) {
  MemoryContext context = CurrentMemoryContext;
  ResourceOwner owner = CurrentResourceOwner;
  ErrorData* volatile error = nullptr;
  BeginInternalSubTransaction(nullptr);
  MemoryContextSwitchTo(context);
  PG_TRY();
  {
    write_entries(first);
    ReleaseCurrentSubTransaction();
  }
  PG_CATCH();
  {
    MemoryContextSwitchTo(context);
    error = CopyErrorData();
    FlushErrorState();
    RollbackAndReleaseCurrentSubTransaction();
  }
  PG_END_TRY();
  MemoryContextSwitchTo(context);
  CurrentResourceOwner = owner;
  if (error == nullptr) return;
  if (error->sqlerrcode == ERRCODE_QUERY_CANCELED) ReThrowError(error);
  char* reason = psprintf("changes could not be recorded: %s", error->message);
  ereport(WARNING, errcode(error->sqlerrcode), errmsg("%s", reason),
          errhint("The deliveries of the relations concerned re-check them. Set conveyor.on_capture_error to fail to "
                  "abort instead."));
  write_recheck(first, reason);
}

}  // namespace

void flush_entries(uint32 first) {
  if (first >= buffer.count()) return;
  if (settings.on_capture_error == static_cast<int>(CaptureErrorPolicy::mark)) {
    write_or_mark(first);
  } else {
    write_entries(first);
  }
}

void overflow_level_committed(int level) {
  for (int i = 0; i < noverflown; i++) overflown[i].level = Min(overflown[i].level, level - 1);
}

void overflow_level_aborted(int level) {
  while (noverflown > 0 && overflown[noverflown - 1].level >= level) noverflown--;
}

void overflow_reset() { noverflown = 0; }

}  // namespace conveyor
