#include "capture/buffer.hpp"

extern "C" {
#include "common/hashfn.h"
}

namespace conveyor {

CaptureBuffer buffer;

namespace {

constexpr Size first_capacity = 8 * 1024;
constexpr uint32 first_room = 256;
constexpr Size kept_capacity = 256 * 1024;  // larger memory is given back at the end of a transaction
constexpr Size entry_overhead = 16;         // a slot and its two places in the table

// Of its own, so that pg_backend_memory_contexts tells what captures take.
MemoryContext memory() {
  static MemoryContext context = nullptr;
  if (context == nullptr) {
    context = AllocSetContextCreate(TopMemoryContext, "pg_conveyor capture", ALLOCSET_START_SMALL_SIZES);
  }
  return context;
}

uint32 kind_index(LogKind kind) { return kind == LogKind::keys ? 0 : kind == LogKind::truncated ? 1 : 2; }

uint32 hash_entry(EntryHead head, const char* bytes, uint32 length) {
  uint64 hash = (static_cast<uint64>(static_cast<uint32>(head.capture)) << 32) | head.length_and_kind;
  if (length <= sizeof(uint64)) {
    uint64 word = 0;
    memcpy(&word, bytes, length);
    hash ^= word * UINT64CONST(0x9E3779B97F4A7C15);
  } else {
    hash ^= hash_bytes_extended(reinterpret_cast<const unsigned char*>(bytes), static_cast<int>(length), 0);
  }
  hash ^= hash >> 32;
  hash *= UINT64CONST(0xD6E8FEB86659FD93);
  return static_cast<uint32>(hash ^ hash >> 32);
}

}  // namespace

BufferedEntry CaptureBuffer::entry(uint32 number) const {
  EntryHead head;
  const char* at = data_ + slots_[number].offset;
  memcpy(&head, at, sizeof head);
  return {head.capture, entry_kinds[head.length_and_kind & 3], head.length_and_kind >> 2, at + sizeof head};
}

bool CaptureBuffer::same(uint32 number, EntryHead head, const char* bytes) const {
  const char* at = data_ + slots_[number].offset;
  return memcmp(at, &head, sizeof head) == 0 && memcmp(at + sizeof head, bytes, head.length_and_kind >> 2) == 0;
}

void CaptureBuffer::add(int32 capture, LogKind kind, uint32 length, int level) {
  if (unlikely(count_ == room_)) grow_entries();
  EntryHead head = {capture, length << 2 | kind_index(kind)};
  char* at = data_ + length_;
  uint32 hash = hash_entry(head, at + sizeof head, length);
  uint32 mask = 2 * room_ - 1;
  uint32 place = hash & mask;
  for (; table_[place] != 0; place = (place + 1) & mask) {
    uint32 number = table_[place] - 1;
    if (slots_[number].hash == hash && same(number, head, at + sizeof head)) return;
  }
  if (level > 1 && (nmarks_ == 0 || marks_[nmarks_ - 1].level < level)) push_mark(level);
  memcpy(at, &head, sizeof head);
  slots_[count_] = {length_, hash};
  table_[place] = ++count_;
  length_ += static_cast<uint32>(sizeof head) + length;
}

void CaptureBuffer::grow(Size bytes) {
  Size needed = static_cast<Size>(length_) + sizeof(EntryHead) + bytes;
  // Offsets are 32 bits wide. Spilling keeps far below; only very deep nesting of very large values could come here.
  if (needed > PG_UINT32_MAX) {
    ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
            errmsg("captured changes of nested subtransactions pass 4 GB"),
            errhint("Use a smaller conveyor.buffer_size."));
  }
  Size capacity = Max(Max(capacity_ * 2, needed), first_capacity);
  data_ = static_cast<char*>(data_ == nullptr ? MemoryContextAllocHuge(memory(), capacity)
                                              : repalloc_huge(data_, capacity));
  capacity_ = capacity;
}

void CaptureBuffer::grow_entries() {
  uint32 room = Max(room_ * 2, first_room);
  Size size = sizeof(Slot) * static_cast<Size>(room);
  // Each assignment at once: an allocation that fails leaves everything usable.
  slots_ = static_cast<Slot*>(slots_ == nullptr ? MemoryContextAllocHuge(memory(), size) : repalloc_huge(slots_, size));
  auto* table = static_cast<uint32*>(MemoryContextAllocExtended(memory(), sizeof(uint32) * 2 * static_cast<Size>(room),
                                                                MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO));
  if (table_ != nullptr) pfree(table_);
  table_ = table;
  room_ = room;
  // In the order of capture: removing the newest first is exact only then.
  uint32 mask = 2 * room - 1;
  for (uint32 i = 0; i < count_; i++) {
    uint32 place = slots_[i].hash & mask;
    while (table_[place] != 0) place = (place + 1) & mask;
    table_[place] = i + 1;
  }
}

void CaptureBuffer::push_mark(int level) {
  if (nmarks_ == marks_room_) {
    int room = Max(marks_room_ * 2, 16);
    Size size = sizeof(BufferMark) * room;
    marks_ = static_cast<BufferMark*>(marks_ == nullptr ? MemoryContextAlloc(memory(), size) : repalloc(marks_, size));
    marks_room_ = room;
  }
  marks_[nmarks_++] = {level, length_, count_};
}

BufferMark CaptureBuffer::start_of(int level) const {
  if (level <= 1) return {1, 0, 0};
  for (int i = 0; i < nmarks_; i++) {
    if (marks_[i].level >= level) return marks_[i];
  }
  return {level, length_, count_};
}

Size CaptureBuffer::own_size(int level) const {
  BufferMark start = start_of(level);
  return (length_ - start.length) + entry_overhead * (count_ - start.count);
}

Size CaptureBuffer::outer_size(int level) const {
  BufferMark start = start_of(level);
  return start.length + entry_overhead * start.count;
}

void CaptureBuffer::drop(int level) {
  BufferMark start = start_of(level);
  truncate(start.length, start.count);
}

void CaptureBuffer::truncate(uint32 length, uint32 count) {
  uint32 mask = 2 * room_ - 1;
  if (count == 0 && count_ > room_ / 8) {
    memset(table_, 0, sizeof(uint32) * 2 * static_cast<Size>(room_));
    count_ = 0;
  }
  while (count_ > count) {
    uint32 place = slots_[count_ - 1].hash & mask;
    while (table_[place] != count_) place = (place + 1) & mask;
    table_[place] = 0;
    count_--;
  }
  length_ = length;
}

void CaptureBuffer::level_committed(int level) {
  if (nmarks_ == 0 || marks_[nmarks_ - 1].level < level) return;
  int below = nmarks_ > 1 ? marks_[nmarks_ - 2].level : 1;
  if (below == level - 1) {
    nmarks_--;
  } else {
    marks_[nmarks_ - 1].level = level - 1;
  }
}

void CaptureBuffer::level_aborted(int level) {
  while (nmarks_ > 0 && marks_[nmarks_ - 1].level >= level) {
    nmarks_--;
    truncate(marks_[nmarks_].length, marks_[nmarks_].count);
  }
}

void CaptureBuffer::reset() {
  if (count_ > 0) truncate(0, 0);
  nmarks_ = 0;
  if (capacity_ + room_ * entry_overhead + marks_room_ * sizeof(BufferMark) <= kept_capacity) return;
  MemoryContextReset(memory());
  data_ = nullptr;
  slots_ = nullptr;
  table_ = nullptr;
  marks_ = nullptr;
  capacity_ = 0;
  room_ = 0;
  marks_room_ = 0;
}

}  // namespace conveyor
