// The captured entries of this transaction that are not in the log yet, each once.
//
// One linear buffer. Where a subtransaction captures for the first time, a mark remembers how much there was; its
// rollback truncates to the mark, its end merges it into the level above. The duplicate table is open addressing over
// the same entries: rollback removes the newest first, so that linear probing needs no tombstones, and a key is known
// as captured exactly as long as its entry lives. Levels are the server's nesting levels, so the library may be loaded
// at any depth.
#pragma once

#include "compat.hpp"
#include "log/scan.hpp"
#include "log/varint.hpp"

namespace conveyor {

// An entry in the buffer: a head, then `length` bytes. Lengths are below 2^30 (a varlena's limit).
struct EntryHead {
  int32 capture;
  uint32 length_and_kind;  // length << 2 | index into entry_kinds
};

constexpr LogKind entry_kinds[] = {LogKind::keys, LogKind::truncated, LogKind::recheck};

struct BufferedEntry {
  int32 capture;
  LogKind kind;
  uint32 length;
  const char* bytes;
};

// Where the entries of a nesting level begin.
struct BufferMark {
  int level;
  uint32 length;  // bytes in the buffer
  uint32 count;   // entries
};

class CaptureBuffer {
 public:
  bool empty() const { return count_ == 0; }
  uint32 count() const { return count_; }
  uint32 length() const { return length_; }

  // Room for one entry of at most `bytes`; write them there, then call add(). The place moves with the next call.
  char* reserve(Size bytes) {
    if (unlikely(static_cast<Size>(length_) + sizeof(EntryHead) + bytes > capacity_)) grow(bytes);
    return data_ + length_ + sizeof(EntryHead);
  }
  // Keeps what was written into reserve()'s place, unless it is there already. `level`: the present nesting level.
  void add(int32 capture, LogKind kind, uint32 length, int level);

  BufferedEntry entry(uint32 number) const;

  // Bytes of memory that the entries of `level` and above occupy, and those of the levels below.
  Size own_size(int level) const;
  Size outer_size(int level) const;
  uint32 first_entry(int level) const { return start_of(level).count; }
  void drop(int level);  // removes the entries of `level` and above, but not the mark

  void level_committed(int level);  // its entries belong to level - 1 now
  void level_aborted(int level);
  void reset();  // the transaction is over; gives memory back that a large one took

 private:
  struct Slot {
    uint32 offset;  // of the EntryHead
    uint32 hash;
  };

  BufferMark start_of(int level) const;
  void grow(Size bytes);
  void grow_entries();
  void push_mark(int level);
  void truncate(uint32 length, uint32 count);
  bool same(uint32 number, EntryHead head, const char* bytes) const;

  char* data_ = nullptr;
  uint32 length_ = 0;
  Size capacity_ = 0;
  Slot* slots_ = nullptr;  // by order of capture
  uint32 count_ = 0;
  uint32 room_ = 0;              // slots allocated; the table has twice as many places
  uint32* table_ = nullptr;      // number of the slot + 1; 0: free
  BufferMark* marks_ = nullptr;  // ascending levels, all above 1
  int nmarks_ = 0;
  int marks_room_ = 0;
};

extern CaptureBuffer buffer;

}  // namespace conveyor
