#include "migrate/leaf.hpp"

extern "C" {
#include "access/nbtree.h"
}

namespace conveyor::migrate {

namespace {

Page page_of(const Leaf* leaf) { return const_cast<char*>(leaf->copy.data); }

BlockNumber next_block(const Leaf* leaf) {
  BTPageOpaque links = BTPageGetOpaque(page_of(leaf));
  BlockNumber next = leaf->backward ? links->btpo_prev : links->btpo_next;
  return next == P_NONE ? InvalidBlockNumber : next;
}

// False: the page is given up, but still links to others.
bool read_page(Leaf* leaf) {
  Buffer buffer = _bt_getbuf(leaf->index, leaf->block, BT_READ);
  memcpy(leaf->copy.data, BufferGetPage(buffer), BLCKSZ);
  _bt_relbuf(leaf->index, buffer);
  BTPageOpaque links = BTPageGetOpaque(page_of(leaf));
  leaf->first = P_FIRSTDATAKEY(links);
  leaf->last = PageGetMaxOffsetNumber(page_of(leaf));
  return !P_IGNORE(links);
}

ItemId item_of(const Leaf* leaf, int number) {
  int offset = leaf->backward ? leaf->last - number : leaf->first + number;
  return PageGetItemId(page_of(leaf), static_cast<OffsetNumber>(offset));
}

// From leaf->block on, the first page that is in use.
bool find_page(Leaf* leaf) {
  while (leaf->block != InvalidBlockNumber) {
    CHECK_FOR_INTERRUPTS();
    if (read_page(leaf)) return true;
    leaf->block = next_block(leaf);
  }
  return false;
}

}  // namespace

bool leaf_begin(Leaf* leaf, IndexScanDesc scan, bool backward) {
  leaf->index = scan->indexRelation;
  leaf->backward = backward;
  leaf->block = static_cast<BTScanOpaque>(scan->opaque)->currPos.currPage;
  return find_page(leaf);
}

bool leaf_next(Leaf* leaf) {
  leaf->block = next_block(leaf);
  return find_page(leaf);
}

int leaf_entries(const Leaf* leaf) { return leaf->last < leaf->first ? 0 : leaf->last - leaf->first + 1; }

IndexTuple leaf_entry(const Leaf* leaf, int number) {
  return reinterpret_cast<IndexTuple>(PageGetItem(page_of(leaf), item_of(leaf, number)));
}

bool leaf_entry_is_dead(const Leaf* leaf, int number) { return ItemIdIsDead(item_of(leaf, number)); }

int entry_rows(IndexTuple entry) { return BTreeTupleIsPosting(entry) ? BTreeTupleGetNPosting(entry) : 1; }

ItemPointer entry_row(IndexTuple entry, int number) {
  return BTreeTupleIsPosting(entry) ? BTreeTupleGetPostingN(entry, number) : &entry->t_tid;
}

}  // namespace conveyor::migrate
