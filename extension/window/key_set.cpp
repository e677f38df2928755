#include "window/key_set.hpp"

namespace conveyor {

namespace {

constexpr Size kFirstArena = 8 * 1024;
constexpr int kFirstBits = 10;
// Offsets of strings have 32 bits in a slot.
constexpr Size kLargestArena = UINT64CONST(1) << 32;

uint64* make_slots(const KeySet* set, int bits) {
  return static_cast<uint64*>(
      MemoryContextAllocExtended(set->context, sizeof(uint64) << bits, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO));
}

Size arena_for(const KeySet* set, uint32 length) {
  Size needed = set->used + sizeof(uint32) + length;
  Size size = set->arena_size;
  while (size < needed) size *= 2;
  return size;
}

int grown_bits(const KeySet* set) {
  int bits = set->bits + 1;
  while (sizeof(uint64) << (bits + 1) <= set->expected_room && (set->count + set->expected) * 4 > UINT64CONST(3)
                                                                                                      << bits)
    bits++;
  return bits;
}

}  // namespace

void key_set_init(KeySet* set) {
  *set = {};
  set->context = CurrentMemoryContext;
  set->arena_size = kFirstArena;
  set->arena = static_cast<char*>(palloc(set->arena_size));
  set->bits = kFirstBits;
  set->mask = (UINT64CONST(1) << kFirstBits) - 1;
  set->slots = make_slots(set, kFirstBits);
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
  return arena_for(set, length) + (sizeof(uint64) << (key_set_is_full(set) ? grown_bits(set) : set->bits));
}

void key_set_grow_slots(KeySet* set) {
  uint64* old = set->slots;
  uint64 count = set->mask + 1;
  set->bits = grown_bits(set);
  set->slots = make_slots(set, set->bits);
  set->mask = (UINT64CONST(1) << set->bits) - 1;
  for (uint64 n = 0; n < count; n++) {
    if (old[n] == 0) continue;
    uint64 i = key_set_home(set, old[n] << 32);
    while (set->slots[i] != 0) i = (i + 1) & set->mask;
    set->slots[i] = old[n];
  }
  pfree(old);
}

void key_set_grow_arena(KeySet* set, uint32 length) {
  set->arena_size = arena_for(set, length);
  if (set->arena_size > kLargestArena)
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("a set of keys passes 4 GB")));
  set->arena = static_cast<char*>(repalloc_huge(set->arena, set->arena_size));
}

}  // namespace conveyor
