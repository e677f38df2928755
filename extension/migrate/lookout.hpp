// What the guard (extension/examine) sees of a worker's batches, written where people read it: job_status.warning.
//
// Worker 0 looks for all: the batches of its helpers are like its own.
#pragma once

#include "examine/job_guard.hpp"
#include "migrate/job.hpp"
#include "migrate/statement.hpp"

namespace conveyor::migrate {

struct Lookout {
  JobGuard* guard;  // NULL: nobody looks
  bool planned;     // the plan was examined
  double position;  // rows of the job that are done, about
  bool told;        // `warning` is what stands in job_status
  char* warning;    // NULL: none
};

// In a transaction. `memory` lives as long as the worker is at the job.
Lookout lookout_open(const Job* job, int worker, MemoryContext memory);
void lookout_close(Lookout* lookout);

// Before the first batch of a statement: its plan for this range, which as an error keeps the batch from running where
// the job's option `examine` says so.
void lookout_plan(Lookout* lookout, const Job* job, const Range* range, const Sql& sql);

// Around a batch. The end is told also after an error, in the transaction that records it.
void lookout_begin(Lookout* lookout, const Job* job, const Range* range);
void lookout_end(Lookout* lookout, const Job* job, const Range* range, double milliseconds, bool failed);

}  // namespace conveyor::migrate
