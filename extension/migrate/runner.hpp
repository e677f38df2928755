// The loop that works off a list of jobs, or helps with one. It does not know in which kind of session it runs.
#pragma once

#include "migrate/session.hpp"

namespace conveyor::migrate {

// Works off the list that this job stands for, as its runner (worker 0). The session must hold Role::list. Returns when
// the list is done, or cannot go on: a job failed, the migration was paused.
void run_list(Session& session, int first_of_list);

// The job of the list whose turn it is; 0: the list has nothing to do, or cannot go on, or its migration does not run.
int next_of_list(Session& session, int first_of_list);

// Helps with a job as its worker `number` (from 1), until nothing is left to claim. The session must hold Role::worker.
void help(Session& session, int job, int number);

// The job that the loop was at when an error left it; 0: none.
int job_under_way();

}  // namespace conveyor::migrate
