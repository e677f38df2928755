// From the buffer into the log.
#pragma once

#include "compat.hpp"

namespace conveyor {

// Writes the entries from number `first` on as packed rows of the present subtransaction; leaves the buffer alone.
// Follows conveyor.on_capture_error and conveyor.max_log_size.
void flush_entries(uint32 first);

// Which captures this transaction has declared overflown follows its subtransactions.
void overflow_level_committed(int level);
void overflow_level_aborted(int level);
void overflow_reset();

}  // namespace conveyor
