// The loop that applies the windows of one job, beside its copy and after it.
#pragma once

#include "migrate/session.hpp"

namespace conveyor::follow {

// Runs until the migration is paused or at its end, or the job is no longer followed. The session must hold
// Role::follower of the job.
void follow(migrate::Session& session, int job);

// Is there anything for follow() to do, now or later?
bool is_followed(migrate::Session& session, int job);

}  // namespace conveyor::follow
