// What this session knows of a segment's leading blocks: a mark (blocks n, transaction id x) says that everything in
// the blocks before n-1 was written by transactions below x. See "The log" in docs/internals.md for why that holds.
#pragma once

#include "compat.hpp"

namespace conveyor {

// Notes the segment's size and the next transaction id. The caller holds a lock that keeps the segment's file.
void mark_segment(Relation segment, BlockNumber blocks);

// The first block that may hold a row of a transaction that is not below `xmin`.
BlockNumber first_block_for(Relation segment, uint64 xmin);

}  // namespace conveyor
