// finish_claim(), finish_leave(): one session at a time finishes a migration. The lock is the session's; where a whole
// transaction of it fails, it is over with finishing, and the lock goes: the procedure that took it has no other way to
// notice.
#include "migrate/lock.hpp"

extern "C" {
#include "access/xact.h"
}

namespace {

using namespace conveyor;

int claimed = 0;  // the migration's first job; 0: none

void forget_at_abort(XactEvent event, void*) {
  if (event != XACT_EVENT_ABORT || claimed == 0) return;
  migrate::leave_role(migrate::Role::finisher, claimed, 0);
  claimed = 0;
}

}  // namespace

CONVEYOR_FUNCTION(finish_claim) {
  static bool registered = false;
  if (!registered) {
    RegisterXactCallback(forget_at_abort, nullptr);
    registered = true;
  }
  int job = PG_GETARG_INT32(0);
  if (!migrate::claim_role(migrate::Role::finisher, job, 0)) PG_RETURN_BOOL(false);
  claimed = job;
  PG_RETURN_BOOL(true);
}

CONVEYOR_FUNCTION(finish_leave) {
  migrate::leave_role(migrate::Role::finisher, PG_GETARG_INT32(0), 0);
  claimed = 0;
  PG_RETURN_VOID();
}
