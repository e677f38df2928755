// Keys of a source as a relation that SQL can read: the columns of the key, in its order, by their names.
#pragma once

#include "migrate/job.hpp"

namespace conveyor::follow {

// The name of that relation: one that no statement of a user's means by chance.
constexpr const char* kKeys = "conveyor changed keys";

// Tuples of the key's columns, none of them NULL.
struct Keys {
  TupleDesc shape;
  HeapTuple* tuples;
  int count;
};

// The columns of the key as they are in the source now; an error where one is gone.
TupleDesc key_shape(const migrate::Job* job);

// A key from the texts of its columns, as they are written with the settings pinned.
HeapTuple key_from_texts(const migrate::Job* job, TupleDesc shape, char** texts);

inline Keys part_of(const Keys& keys, int from, int count) { return {keys.shape, keys.tuples + from, count}; }

// Runs a statement that may read the relation kKeys, with the session's rights. Its rows go nowhere.
void run_over(const Keys& keys, const char* sql, const migrate::Parameters& parameters);

}  // namespace conveyor::follow
