// One batch: its rows, and that they are done, in one transaction. Or that it failed, and what becomes of its range.
#pragma once

#include "migrate/job.hpp"
#include "migrate/lookout.hpp"
#include "migrate/session.hpp"
#include "migrate/statement.hpp"

namespace conveyor::migrate {

enum class Outcome {
  done,     // rows and checkpoint are in this transaction
  lost,     // the range is somebody else's by now: nothing was done
  failed,   // nothing of the batch is left; its range is put off, divided or a dead row
  stopped,  // it failed, and the job with it
};

// Within a transaction that holds nothing yet. A cancel request in a foreground session leaves as an error.
Outcome run_batch(Session& session, const Job* job, int worker, const Range* range, Lookout* lookout);

// The settings that batches of the job run with, until the transaction ends.
void set_batch_settings(const Job* job);

}  // namespace conveyor::migrate
