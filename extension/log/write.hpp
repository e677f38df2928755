// Writing rows into the change log, as the server's own code would: no rights are checked, no trigger fires, nothing is
// logically decoded.
#pragma once

#include "compat.hpp"
#include "log/scan.hpp"

namespace conveyor {

// Bytes of entries with which a row is as large as a quarter of a page, the largest that is neither compressed nor
// moved out of line: four rows then fill a page to the last few bytes.
constexpr int32 packed_row = 1976;

struct LogWriter {
  Relation segment;
  uint64 xid;
  TimestampTz flushed_at;
};

// One run of rows. Assigns the transaction's id where it has none, then chooses the segment and its last block. False
// when the extension was dropped in this very transaction: then there is nothing to write to, and nobody to read it.
bool log_write_begin(LogWriter* writer);
// `entries`: a plain varlena with a 4-byte header.
void log_write(LogWriter* writer, LogKind kind, int32 capture, int32 changes, struct varlena* entries);
void log_write_end(LogWriter* writer);

// Has the log passed conveyor.max_log_size? `bytes`: what the caller is about to write. Looks at the files' sizes at
// most every 100 ms, or when this session alone has written a 64th of the bound since.
bool log_is_full(uint64 bytes);

}  // namespace conveyor
