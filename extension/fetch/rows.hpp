// From rows (id, document) in the order of their ids to records: each id once, or refused with the number of its rows.
#pragma once

#include "fetch/keys.hpp"
#include "fetch/query.hpp"
#include "frame.hpp"

extern "C" {
#include "executor/tuptable.h"
}

namespace conveyor {

struct RowWriter {
  FrameWriter* frames;
  AskedKeys* asked;  // null: nobody asked for single keys
  Wanted wanted;
  StringInfoData id;  // of the last row
  uint64 rows;        // of that id; 0: none yet
};

void rows_begin(RowWriter* rows, FrameWriter* frames, AskedKeys* asked, Wanted wanted);

// For cursor_run(): takes a row, and stops when it has made a frame ready.
bool rows_take(void* rows, TupleTableSlot* slot);

// The last row's id is complete.
void rows_settle(RowWriter* rows);

}  // namespace conveyor
