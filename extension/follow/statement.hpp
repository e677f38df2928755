// The SQL of a job for single keys: those in the relation kKeys (follow/keys.hpp). Texts are made in the current
// context.
#pragma once

#include "migrate/job.hpp"

namespace conveyor::follow {

// The job's statement, with the source's rows of these keys as `batch`.
char* batch_of_keys(const migrate::Job* job);

// The job's delete_statement, with those of the keys as `gone` that the source does not have, or not among the rows
// that the job is about.
char* gone_keys(const migrate::Job* job, const char* delete_statement);

// The keys' texts: what they are called in dead_row, and as text[].
char* id_of_keys(const migrate::Job* job);
char* parts_of_keys(const migrate::Job* job);

}  // namespace conveyor::follow
