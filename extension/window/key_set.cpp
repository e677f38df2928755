#include "window/key_set.hpp"

namespace conveyor {

namespace {

constexpr Size kFirstArena = 8 * 1024;
constexpr uint64 kFirstSlots = 1024;
// So many slots are on their way into the cache while others are filled.
constexpr int kAhead = 32;

uint64* make_slots(const KeySet* set, uint64 count) {
  return static_cast<uint64*>(
      MemoryContextAllocExtended(set->context, count * sizeof(uint64), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO));
}

Size arena_for(const KeySet* set, uint32 length) {
  Size needed = set->used + sizeof(uint32) + length;
  Size size = set->arena_size;
  while (size < needed) size *= 2;
  return size;
}

}  // namespace

void key_set_init(KeySet* set) {
  *set = {};
  set->context = CurrentMemoryContext;
  set->arena_size = kFirstArena;
  set->arena = static_cast<char*>(palloc(set->arena_size));
  set->mask = kFirstSlots - 1;
  set->slots = make_slots(set, kFirstSlots);
}

void key_set_free(KeySet* set) {
  if (set->slots != nullptr) pfree(set->slots);
  if (set->arena != nullptr) pfree(set->arena);
  *set = {};
}

void key_set_clear(KeySet* set) {
  MemoryContext old = MemoryContextSwitchTo(set->context);
  pfree(set->slots);
  pfree(set->arena);
  key_set_init(set);
  MemoryContextSwitchTo(old);
}

Size key_set_memory_after(const KeySet* set, uint32 length) {
  uint64 slots = set->mask + 1;
  if ((set->count + 1) * 4 > slots * 3) slots *= 2;
  return arena_for(set, length) + slots * sizeof(uint64);
}

void key_set_grow_slots(KeySet* set) {
  uint64 count = (set->mask + 1) * 2;
  uint64* slots = make_slots(set, count);
  set->mask = count - 1;
  uint64 hashes[kAhead];
  uint64 values[kAhead];
  for (Size offset = 0; offset < set->used;) {
    int ready = 0;
    for (; ready < kAhead && offset < set->used; ready++, offset = key_set_next(set, offset)) {
      hashes[ready] = key_hash(key_set_bytes_at(set, offset), key_set_length_at(set, offset));
      values[ready] = (static_cast<uint64>(offset) + 1) << kTagBits | hashes[ready] >> (64 - kTagBits);
      __builtin_prefetch(&slots[hashes[ready] & set->mask], 1);
    }
    for (int n = 0; n < ready; n++) {
      uint64 i = hashes[n] & set->mask;
      while (slots[i] != 0) i = (i + 1) & set->mask;
      slots[i] = values[n];
    }
  }
  pfree(set->slots);
  set->slots = slots;
}

void key_set_grow_arena(KeySet* set, uint32 length) {
  set->arena_size = arena_for(set, length);
  set->arena = static_cast<char*>(repalloc_huge(set->arena, set->arena_size));
}

}  // namespace conveyor
