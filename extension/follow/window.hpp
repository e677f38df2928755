// Windows of changes: what has changed in a job's source between its cursor and now, applied to the target.
#pragma once

#include "compat.hpp"

namespace conveyor::follow {

// Applies the next window in the transaction under way (READ COMMITTED) and moves the cursor with it; `most` keys are
// given to the job's statement at a time. Returns how many keys there were. Takes the job's window lock first: copy
// batches that have begun to read end before, and later ones see what the window has done.
int64 apply_window(int job, int most);

}  // namespace conveyor::follow
