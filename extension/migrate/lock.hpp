// Who works on what: advisory locks of the extension's own, held by sessions, so that they go with a session that dies.
#pragma once

#include "compat.hpp"

namespace conveyor::migrate {

enum class Role : uint16 {  // part of the lock's name; pg_locks.objsubid
  list = 101,               // runs a list; the list's first job stands for it
  worker = 102,             // is one of the job's workers
  window = 103,             // shared: a copy batch; exclusive: a window of changes (follow)
  follower = 104,           // applies the windows of a job
  finisher = 105,           // brings the migration that this job is the first of to its end
};

// Takes the lock for the session, without waiting; false where another session has it. Taken again it counts once.
bool claim_role(Role role, int job, int number);

// Does this session still have it? What a job calls may have released all advisory locks.
bool has_role(Role role, int job, int number);

void leave_role(Role role, int job, int number);

// Takes the job's window lock until the end of the transaction; waits, under lock_timeout.
void lock_window(int job, bool exclusive);

}  // namespace conveyor::migrate
