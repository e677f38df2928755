// What a session tells of the job that it works on: notices in the foreground, at a calm pace; pg_stat_activity
// otherwise.
#pragma once

#include "migrate/batch.hpp"
#include "migrate/job.hpp"
#include "migrate/session.hpp"

namespace conveyor::migrate {

struct Progress {
  int job;
  char title[2 * NAMEDATALEN + 2];  // migration/job
  bool quiet;                       // a helper
  TimestampTz said;                 // when it last said something of its own accord
};

void progress_begin(Progress* progress, Session& session, const Job* job, int worker);
void progress_hold(Progress* progress, Session& session, const char* reason);
void progress_batch(Progress* progress, Session& session, const Job* job, Outcome outcome);
void progress_end(Progress* progress, Session& session);

}  // namespace conveyor::migrate
