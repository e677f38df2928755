// The key that a job's ranges are made of.
#pragma once

#include "migrate/job.hpp"

namespace conveyor::migrate {

// Finds the key of job->source: the given columns, or those of its primary key (NULL). They must be NOT NULL, and those
// of a unique btree index in its order, by which ranges are read.
void find_key(Job* job, char** columns, int count);

Datum key_names(const Job* job);       // text[]
Datum key_type_array(const Job* job);  // oid[]
Datum oid_array(const List* oids);     // oid[]

}  // namespace conveyor::migrate
