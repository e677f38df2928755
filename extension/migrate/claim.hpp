// Which rows come next. A claim is a short transaction of its own: the range that it enters in job_range is this
// worker's.
#pragma once

#include "migrate/job.hpp"
#include "migrate/statement.hpp"

namespace conveyor::migrate {

enum class Verdict {
  batch,  // here is one
  wait,   // nothing now: ranges are put off, or others are at the last ones, or the rate is used up
  done,   // nothing is left for this worker; worker 0: for anyone
  leave,  // the migration does not run any more
};

struct Claim {
  Verdict verdict;
  long wait;  // ms
  Range range;
};

Claim claim_range(const Job* job, int worker);

// What a call gets as its first key. Integers are counted out, so that the ranges of the calls tile all numbers; of
// other types it is the first key behind the range's beginning. NULL: the range has no row (any more).
char** first_key_of_call(const Job* job, const Range* range);

// Fixes where a job ends, and with that begins it; called again it does nothing.
void begin_job(const Job* job);

// Warns where the source has rows behind the job's end, which it has not gone through.
void report_rows_behind(const Job* job);

}  // namespace conveyor::migrate
