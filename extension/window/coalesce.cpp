#include "window/coalesce.hpp"

namespace conveyor {

namespace {

// So many entries are looked at before the first of them is added: by then its slot has come into the cache.
constexpr int kAhead = 32;

// A slice ends before its sets have to grow past the limit, so the room that the next row may take counts.
constexpr uint32 kRow = 8192;

struct Pending {
  const char* bytes;
  uint32 length;
  uint64 hash;
};

}  // namespace

void coalesce(WindowCapture* capture, const char* entries, int32 length) {
  EntryReader reader = read_entries(capture->definition, entries, length);
  coalesce_some(capture, &reader, PG_UINT64_MAX);
}

int64 coalesce_some(WindowCapture* capture, EntryReader* reader, uint64 most) {
  KeySet* set = &capture->entries;
  Pending pending[kAhead];
  int64 seen = 0;
  while (set->count < most) {
    auto room = static_cast<int>(Min(most - set->count, static_cast<uint64>(kAhead)));
    int count;
    const char* bytes;
    int32 size;
    for (count = 0; count < room && entry_bytes(reader, &bytes, &size); count++) {
      pending[count] = {bytes, static_cast<uint32>(size), key_hash(bytes, static_cast<uint32>(size))};
      key_set_prefetch(set, pending[count].hash);
    }
    Size offset;
    for (int i = 0; i < count; i++) key_set_add(set, pending[i].bytes, pending[i].length, pending[i].hash, &offset);
    seen += count;
    if (count < room) break;
  }
  return seen;
}

Size slice_memory(const Watches* watches) {
  Size bytes = 0;
  for (int i = 0; i < watches->captures; i++)
    if (watches->capture[i].used) bytes += key_set_memory_after(&watches->capture[i].entries, kRow);
  return bytes;
}

void slice_clear(Watches* watches) {
  for (int i = 0; i < watches->captures; i++)
    if (watches->capture[i].entries.count > 0) key_set_clear(&watches->capture[i].entries);
}

}  // namespace conveyor
