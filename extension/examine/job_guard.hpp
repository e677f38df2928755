// Watches over the batches of one job in one session: instruments some of them, follows the time per row, and says what
// people must know.
//
//   JobGuard* guard = guard_open(memory, source, one_in);
//   guard_plan(guard, warning)                      what examine_plan() has found, before the first batch
//   for each batch: guard_begin(guard, rows); …; guard_end(guard, {…});   the latter also after an error
//   guard_warning(guard)                            NULL: nothing to tell
#pragma once

#include "compat.hpp"
#include "examine/growth.hpp"

namespace conveyor {

struct JobGuard;

// `one_in`: every so many batches one is instrumented, and the first; 0: none.
JobGuard* guard_open(MemoryContext parent, Oid source, int one_in);
void guard_close(JobGuard* guard);

// A batch of an earlier session, one after another before the first of this one.
void guard_learn(JobGuard* guard, const BatchSample& batch);

// Stands until a batch has been instrumented, which is to be believed.
void guard_plan(JobGuard* guard, const char* warning);

void guard_begin(JobGuard* guard, double rows);
void guard_end(JobGuard* guard, const BatchSample& batch, bool failed);

// Lives until the next guard_end().
const char* guard_warning(const JobGuard* guard);

}  // namespace conveyor
