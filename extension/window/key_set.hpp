// A set of byte strings in the order of their insertion: open addressing over an arena, no deletion.
//
// The strings lie one after another in the arena, so that walking the set is walking memory; a slot holds a string's
// offset and half of its hash, so that a string is only looked at when it is very likely the same. The upper bits of
// that half say where a string belongs, so the slots stand in the order of their hashes and grow in one pass over
// themselves, without a look at the strings. The hot path of coalescing a window is key_set_add().
#pragma once

#include "compat.hpp"

extern "C" {
#include "common/hashfn.h"
}

namespace conveyor {

struct KeySet {
  MemoryContext context;
  char* arena;  // records: u32 length, bytes
  Size used;
  Size arena_size;
  uint64* slots;  // 0: free; else (offset + 1) << 32 | upper half of the hash
  int bits;       // 1 << bits slots
  uint64 mask;    // slots - 1
  uint64 count;
  // For whoever knows what comes: slots for so many more strings are made at once, up to so many bytes of slots.
  uint64 expected;
  Size expected_room;
};

void key_set_init(KeySet* set);
void key_set_clear(KeySet* set);
void key_set_free(KeySet* set);

// Bytes that the set occupies once it has room for one more string of `length`.
Size key_set_memory_after(const KeySet* set, uint32 length);

void key_set_grow_slots(KeySet* set);
void key_set_grow_arena(KeySet* set, uint32 length);

inline uint64 key_hash(const char* bytes, uint32 length) {
  if (length > 16)
    return hash_bytes_extended(reinterpret_cast<const unsigned char*>(bytes), static_cast<int>(length), 0);
  uint64 a = 0;
  uint64 b = 0;
  if (length >= 8) {
    memcpy(&a, bytes, 8);
    memcpy(&b, bytes + length - 8, 8);
  } else if (length >= 4) {
    uint32 low;
    uint32 high;
    memcpy(&low, bytes, 4);
    memcpy(&high, bytes + length - 4, 4);
    a = low;
    b = high;
  } else if (length > 0) {
    a = static_cast<uint64>(static_cast<unsigned char>(bytes[0])) << 16 |
        static_cast<uint64>(static_cast<unsigned char>(bytes[length >> 1])) << 8 |
        static_cast<unsigned char>(bytes[length - 1]);
  }
  // Multiply and fold: all bits of both halves reach all bits of the result.
  __extension__ using uint128_wide = unsigned __int128;
  uint128_wide product =
      static_cast<uint128_wide>(a ^ UINT64CONST(0x9E3779B97F4A7C15)) * (b ^ (UINT64CONST(0xD1B54A32D192ED03) + length));
  uint64 folded = static_cast<uint64>(product) ^ static_cast<uint64>(product >> 64);
  return (folded ^ (folded >> 32)) * UINT64CONST(0xD6E8FEB86659FD93);
}

// Where a string of that hash belongs; behind it where others stand already.
inline uint64 key_set_home(const KeySet* set, uint64 hash) { return hash >> (64 - set->bits); }

inline bool key_set_is_full(const KeySet* set) { return (set->count + 1) * 4 > (set->mask + 1) * 3; }

inline void key_set_prefetch(const KeySet* set, uint64 hash) {
  __builtin_prefetch(&set->slots[key_set_home(set, hash)]);
}

inline uint32 key_set_length_at(const KeySet* set, Size offset) {
  uint32 length;
  memcpy(&length, set->arena + offset, sizeof length);
  return length;
}
inline const char* key_set_bytes_at(const KeySet* set, Size offset) { return set->arena + offset + sizeof(uint32); }
// The record behind the one at `offset`; the end is set->used.
inline Size key_set_next(const KeySet* set, Size offset) {
  return offset + sizeof(uint32) + key_set_length_at(set, offset);
}

constexpr Size kNoKey = ~static_cast<Size>(0);

inline Size key_set_find(const KeySet* set, const char* bytes, uint32 length, uint64 hash) {
  for (uint64 i = key_set_home(set, hash);; i = (i + 1) & set->mask) {
    uint64 slot = set->slots[i];
    if (slot == 0) return kNoKey;
    if (static_cast<uint32>(slot) != hash >> 32) continue;
    Size offset = (slot >> 32) - 1;
    if (key_set_length_at(set, offset) == length && memcmp(key_set_bytes_at(set, offset), bytes, length) == 0)
      return offset;
  }
}

// True where the string is new. `offset` becomes where it lies.
inline bool key_set_add(KeySet* set, const char* bytes, uint32 length, uint64 hash, Size* offset) {
  if (unlikely(key_set_is_full(set))) key_set_grow_slots(set);
  uint64 i = key_set_home(set, hash);
  for (;; i = (i + 1) & set->mask) {
    uint64 slot = set->slots[i];
    if (slot == 0) break;
    if (static_cast<uint32>(slot) != hash >> 32) continue;
    *offset = (slot >> 32) - 1;
    if (key_set_length_at(set, *offset) == length && memcmp(key_set_bytes_at(set, *offset), bytes, length) == 0)
      return false;
  }
  if (unlikely(set->used + sizeof(uint32) + length > set->arena_size)) key_set_grow_arena(set, length);
  *offset = set->used;
  memcpy(set->arena + set->used, &length, sizeof length);
  memcpy(set->arena + set->used + sizeof length, bytes, length);
  set->used += sizeof length + length;
  set->slots[i] = (static_cast<uint64>(*offset) + 1) << 32 | hash >> 32;
  set->count++;
  return true;
}

}  // namespace conveyor
