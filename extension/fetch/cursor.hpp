// A query whose rows are taken as they come, without storing them, over several calls of a function.
//
// It is a portal, so that it goes away with its transaction after an error; it is found by its name each time, because
// at the end of a transaction it may be dropped before its reader.
#pragma once

extern "C" {
#include "postgres.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "nodes/params.h"
#include "utils/portal.h"
}

namespace conveyor {

struct Cursor {
  char name[NAMEDATALEN];  // empty: not open
};

// Takes one row; false stops the run behind this row. The slot is valid during the call only.
using TakeRow = bool (*)(void* taker, TupleTableSlot* slot);

// Opens the plan in the active snapshot. SPI must be connected; SPI may be left before the cursor is read;
// relations registered with SPI must live as long as the cursor.
void cursor_open(Cursor* cursor, SPIPlanPtr plan, Datum* values, const char* nulls);

// Gives rows to `take` until it returns false (then false) or there are no more (then true; the cursor is closed).
bool cursor_run(Cursor* cursor, TakeRow take, void* taker);

inline bool cursor_is_open(const Cursor* cursor) { return cursor->name[0] != '\0'; }

void cursor_close(Cursor* cursor);

}  // namespace conveyor
