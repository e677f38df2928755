// Windows of changes: what has changed in a job's source between its cursor and now, applied to the target in slices.
//
// A window may take several transactions, one for each slice: the table job_window says how far it is. The cursor moves
// with the last of them. Every slice takes the job's window lock first: copy batches that have begun to read end
// before, and later ones see what it has done. What it reads may be newer than the window: that comes again.
#pragma once

#include "compat.hpp"

namespace conveyor::follow {

struct Slice {
  int64 keys;
  bool more;  // the window has further ones
};

// Applies the next slice, of `most` keys at most, of the window that is under way, or of a new one, in the transaction
// under way (READ COMMITTED). `last_time`: a slice of one key that fails for a reason that might pass is a dead row.
Slice apply_slice(int job, int most, bool last_time);

// Applies all that has changed up to now in the transaction under way; returns how many keys.
int64 apply_window(int job, int most);

}  // namespace conveyor::follow
