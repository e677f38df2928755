// Background workers: registering them, and what they are told.
#pragma once

#include "migrate/job.hpp"

extern "C" {
#include "postmaster/bgworker.h"
}

namespace conveyor::migrate {

// In place of a worker's number: it applies the windows of the job.
constexpr int32 kFollower = -1;

// What a background worker is told, in bgw_extra.
struct Orders {
  Oid database;
  Oid owner;  // to log in as
  int32 job;  // worker 0: the first of its list
  int32 worker;
};

// Registers a worker; false where max_worker_processes are in use.
bool launch(const Orders& orders, const char* title, BackgroundWorkerHandle** handle);

// Sees to it that the job's further workers (1 …) are there, as far as there are workers to be had. Looks once a
// second.
void keep_helpers(const Job* job);

// Puts the callbacks in place that register workers when a transaction commits.
void follow_launches();

}  // namespace conveyor::migrate
