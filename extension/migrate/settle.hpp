// What becomes of a range whose batch failed.
#pragma once

#include "migrate/job.hpp"
#include "migrate/statement.hpp"

namespace conveyor::migrate {

// Records it in the present transaction: the range is put off, divided in two, or its one row is a dead row, or the job
// stops; true where it stopped.
bool settle_failure(const Job* job, int worker, const Range* range, const ErrorData* error);

// The job stops with this error.
void fail_job(int job, const ErrorData* error);

// "SQLSTATE: message (detail)", with what to do about it where that can be said.
char* error_text(const ErrorData* error);

}  // namespace conveyor::migrate
