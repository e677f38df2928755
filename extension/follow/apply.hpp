// Bringing the target's rows of some keys to what the source has.
#pragma once

#include "follow/keys.hpp"

namespace conveyor::follow {

// A job with what its windows need beside.
struct Follower {
  const migrate::Job* job;
  const char* delete_statement;  // NULL: rows that are gone from the source stay in the target
  bool dead_rows;                // it has some: keys that are applied may be among them
  bool last_time;                // a single key that fails for a reason that might pass is a dead row, too
};

enum class Step {
  gone,   // delete_statement; before the other, so that unique columns of the target are free for their new owners
  batch,  // statement
};

// Before the job's window lock is taken: an error where what is read behind it would be older than the lock.
void require_read_committed();

// Both steps for the key of a dead row, whose row may be gone by now; any error is the caller's.
void retry_key(const migrate::Job* job, char** texts);

// Runs one step for these keys, within the job's statement_timeout. Keys for which it fails because of their data
// become dead rows, unless the job is to stop by the first one; any other error is the caller's.
void apply(const Follower& follower, Step step, const Keys& keys);

}  // namespace conveyor::follow
