// The key that a job's ranges are made of.
#pragma once

#include "migrate/job.hpp"

namespace conveyor::migrate {

// Finds the key of job->source: the given columns, or those of its primary key (NULL). They must be NOT NULL, and those
// of a unique btree index in its order, by which ranges are read.
void find_key(Job* job, char** columns, int count);

// Opens the index of the table by which ranges of this key are read; NULL where there is none (any more).
Relation open_key_index(Relation table, const Job* job);

Datum key_names(const Job* job);       // text[]
Datum key_type_array(const Job* job);  // oid[]
Datum oid_array(const List* oids);     // oid[]

}  // namespace conveyor::migrate
