// The relation `changed` of a key query, and the query's run over it.
#pragma once

#include "fetch/cursor.hpp"
#include "window/watches.hpp"

extern "C" {
#include "utils/tuplestore.h"
}

namespace conveyor {

struct Changed {
  MemoryContext context;  // of one run
  Tuplestorestate* rows;  // spills to disk behind work_mem
};

// The shape of `changed` for a watch and a capture.
TupleDesc changed_shape(const WatchedCapture* pair);

// Opens the key query of `pair` over the capture's entries in the active snapshot; rows are document ids.
void changed_open(Changed* changed, const Feed* feed, const WatchedCapture* pair, Cursor* cursor);
void changed_close(Changed* changed);

}  // namespace conveyor
