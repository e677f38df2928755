// Collecting the distinct entries of packed rows: what a key changed a thousand times costs once.
#pragma once

#include "window/watches.hpp"

namespace conveyor {

// Adds a packed row's entries to those of its capture.
void coalesce(WindowCapture* capture, const char* entries, int32 length);

// Adds entries until the capture has `most` of them, or the row is at its end. Returns how many it has gone through.
int64 coalesce_some(WindowCapture* capture, EntryReader* reader, uint64 most);

// Bytes that the slice will occupy with one more row.
Size slice_memory(const Watches* watches);

void slice_clear(Watches* watches);

}  // namespace conveyor
