#include "log/marks.hpp"

extern "C" {
#include "utils/hsearch.h"
}

namespace conveyor {

namespace {

constexpr int max_marks = 32;

struct Mark {
  BlockNumber blocks;
  uint64 next_xid;
};

struct SegmentMarks {
  Oid relation;  // hash key
  Oid file;      // the marks are of this file only, and as long as no block of it is cut off
  int count;
  Mark marks[max_marks];  // both members ascending
};

HTAB* all_marks = nullptr;

SegmentMarks* marks_of(Relation segment) {
  if (all_marks == nullptr) {
    HASHCTL control = {};
    control.keysize = sizeof(Oid);
    control.entrysize = sizeof(SegmentMarks);
    all_marks = hash_create("pg_conveyor segment marks", 64, &control, HASH_ELEM | HASH_BLOBS);
  }
  Oid relation = RelationGetRelid(segment);
  bool found;
  auto* marks = static_cast<SegmentMarks*>(hash_search(all_marks, &relation, HASH_ENTER, &found));
  if (!found || marks->file != compat::relation_file(segment) || !compat::is_file_remembered(segment)) {
    marks->file = compat::relation_file(segment);
    marks->count = 0;
    compat::remember_file(segment);
  }
  return marks;
}

}  // namespace

void mark_segment(Relation segment, BlockNumber blocks) {
  SegmentMarks* marks = marks_of(segment);
  // For the same size the older mark says more.
  if (blocks < 2 || (marks->count > 0 && marks->marks[marks->count - 1].blocks >= blocks)) return;
  if (marks->count == max_marks) {  // thin out the older ones
    for (int i = 0; i < max_marks / 2; i++) marks->marks[i] = marks->marks[2 * i + 1];
    marks->count = max_marks / 2;
  }
  marks->marks[marks->count++] = {blocks, U64FromFullTransactionId(ReadNextFullTransactionId())};
}

BlockNumber first_block_for(Relation segment, uint64 xmin) {
  const SegmentMarks* marks = marks_of(segment);
  for (int i = marks->count - 1; i >= 0; i--) {
    if (marks->marks[i].next_xid <= xmin) return marks->marks[i].blocks - 1;
  }
  return 0;
}

}  // namespace conveyor
