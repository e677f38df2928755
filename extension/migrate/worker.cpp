// The main function of background workers: logs in as the migration's owner and works off a list, helps with a job, or
// follows one.
#include "failpoint.hpp"
#include "follow/follower.hpp"
#include "migrate/ask.hpp"
#include "migrate/failure.hpp"
#include "migrate/launch.hpp"
#include "migrate/lock.hpp"
#include "migrate/runner.hpp"
#include "migrate/session.hpp"
#include "migrate/settle.hpp"

extern "C" {
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "tcop/tcopprot.h"

PGDLLEXPORT void conveyor_migration_worker(Datum argument);
}

namespace conveyor::migrate {

namespace {

constexpr long kPause = 1000;  // ms before going on after an error that may pass
constexpr long kAgain = 20;    // ms before taking a list up again

void work(const Orders& orders) {
  Session& session = background_session();
  if (orders.worker == 0)
    run_list(session, orders.job);
  else if (orders.worker == kFollower)
    follow::follow(session, orders.job);
  else
    help(session, orders.job, orders.worker);
}

// Runs it; NULL where it came to its end, else the error that ended it. The transaction is over either way.
ErrorData* work_guarded(const Orders& orders) {
  MemoryContext context = CurrentMemoryContext;
  ErrorData* volatile error = nullptr;
  PG_TRY();
  { work(orders); }
  PG_CATCH();
  {
    MemoryContextSwitchTo(context);
    error = CopyErrorData();
    EmitErrorReport();
    FlushErrorState();
    AbortOutOfAnyTransaction();
    MemoryContextSwitchTo(context);
  }
  PG_END_TRY();
  return error;
}

// An error outside of any batch: nothing that is claimed is lost by it.
void record(int job, const ErrorData* error) {
  Session& session = background_session();
  session.begin();
  fail_job(job, error);
  session.commit();
}

// An error that may pass is waited for; any other one ends the job, and this worker.
void work_on(const Orders& orders) {
  for (;;) {
    ErrorData* error = work_guarded(orders);
    if (error == nullptr) return;
    if (classify(unpack_sql_state(error->sqlerrcode)) != Failure::transient) {
      int job = orders.worker == kFollower ? orders.job : job_under_way();
      if (job != 0) record(job, error);
      return;
    }
    background_session().wait(kPause);
  }
}

Role role_of(const Orders& orders) {
  if (orders.worker == kFollower) return Role::follower;
  return orders.worker == 0 ? Role::list : Role::worker;
}

bool is_there_more(const Orders& orders) {
  if (orders.worker == kFollower) return follow::is_followed(background_session(), orders.job);
  return orders.worker == 0 && next_of_list(background_session(), orders.job) != 0;
}

// A migration that was paused may be running again by now, and the worker that was to go on with it may have met this
// one's lock and left. So the lock is given back first, and then it is looked once more.
void run_worker(const Orders& orders) {
  int number = Max(orders.worker, 0);
  while (claim_role(role_of(orders), orders.job, number)) {
    work_on(orders);
    leave_role(role_of(orders), orders.job, number);
    if (!is_there_more(orders)) return;
    background_session().wait(kAgain);
  }
}

}  // namespace

}  // namespace conveyor::migrate

void conveyor_migration_worker(Datum) {
  using namespace conveyor::migrate;
  Orders orders;
  memcpy(&orders, MyBgworkerEntry->bgw_extra, sizeof orders);
  pqsignal(SIGTERM, die);
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  BackgroundWorkerUnblockSignals();
  BackgroundWorkerInitializeConnectionByOid(orders.database, orders.owner, 0);
  pgstat_report_activity(STATE_RUNNING, nullptr);
  run_worker(orders);
}
