// The leaf pages of a btree index, page by page: each is copied, so that nothing is locked while it is looked at.
//
// Pages are linked, and one that is divided meanwhile links to what it has given away: going to the right misses
// nothing. Going to the left, in an index that descends, may miss what a page gives away at that moment.
#pragma once

#include "compat.hpp"

namespace conveyor::migrate {

struct Leaf {
  Relation index;
  bool backward;
  BlockNumber block;
  PGAlignedBlock copy;
  OffsetNumber first;  // entries of the page; none where `last` is smaller
  OffsetNumber last;
};

// Reads the page on which the scan has found its first row. Needs the snapshot of the scan: pages that are given up are
// not used again as long as it is there. False where there is none (any more).
bool leaf_begin(Leaf* leaf, IndexScanDesc scan, bool backward);

// Reads the one behind it. False where there is none.
bool leaf_next(Leaf* leaf);

// Entries in the order of the walk, from 0 on. Of one that is known to be dead no row is visible to anybody.
int leaf_entries(const Leaf* leaf);
IndexTuple leaf_entry(const Leaf* leaf, int number);
bool leaf_entry_is_dead(const Leaf* leaf, int number);

// An entry stands for one row or, where versions of it are kept together, for several.
int entry_rows(IndexTuple entry);
ItemPointer entry_row(IndexTuple entry, int number);

}  // namespace conveyor::migrate
