// Row images: are two values the same bytes, and the recorded columns of a row as an entry of the log.
#pragma once

#include "capture/watch_cache.hpp"
#include "log/scan.hpp"

namespace conveyor {

// Never `=`: citext values and numerics that are equal may still make different documents.
bool same_image(const WatchedColumn* column, Datum a, bool a_null, Datum b, bool b_null);

// Adds the recorded columns to the buffer. `values` and `nulls` are indexed by column number - 1.
void capture_image(const Watch* watch, const Datum* values, const bool* nulls);

// Adds something else than keys: `reason` for LogKind::recheck, nothing for truncated.
void capture_signal(int32 capture, LogKind kind, const char* reason);

}  // namespace conveyor
