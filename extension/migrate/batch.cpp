#include "migrate/batch.hpp"

#include "failpoint.hpp"
#include "fetch/owner.hpp"
#include "follow/apply.hpp"
#include "migrate/attempt.hpp"
#include "migrate/claim.hpp"
#include "migrate/lock.hpp"
#include "migrate/settle.hpp"

extern "C" {
#include "portability/instr_time.h"
}

namespace conveyor::migrate {

namespace {

void set_local(const char* name, const char* value) {
  set_config_option(name, value, superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
                    false);
}

bool take(const Job* job, int worker, const Range* range) {
  Parameters parameters;
  parameters.integer(job->id).integer(worker).bigint(range->number);
  return ask("SELECT conveyor.job_take($1, $2, $3)", parameters).boolean(1);
}

double milliseconds_since(instr_time began) {
  instr_time now;
  INSTR_TIME_SET_CURRENT(now);
  INSTR_TIME_SUBTRACT(now, began);
  return INSTR_TIME_GET_MILLISEC(now);
}

// Settings, the role among them, are as before when it has run, whatever it has set. Constraints that were deferred are
// checked here, where their violation is this batch's.
void run_statement(const Job* job, const Range* range, Lookout* lookout) {
  int level = NewGUCNestLevel();
  char** first = nullptr;
  if (job->statement == nullptr) {
    first = first_key_of_call(job, range);
    if (first == nullptr) {  // its rows are gone
      AtEOXact_GUC(false, level);
      return;
    }
  }
  if (job->follow && range->single) {
    follow::retry_key(job, range->last);
  } else {
    Sql sql = batch_sql(job, range, first);
    lookout_plan(lookout, job, range, sql);
    lookout_begin(lookout, job, range);
    run(sql.text, sql.parameters);
  }
  failpoint("migrate_statement");
  run("SET CONSTRAINTS ALL IMMEDIATE", Parameters());
  AtEOXact_GUC(false, level);
}

void checkpoint(const Job* job, int worker, const Range* range, double milliseconds) {
  Parameters parameters;
  parameters.integer(job->id).integer(worker).bigint(range->number).real(static_cast<float>(milliseconds));
  tell("SELECT conveyor.job_checkpoint($1, $2, $3, $4)", parameters);
}

}  // namespace

void set_batch_settings(const Job* job) {
  set_local("search_path", with_temporary_last(job->search_path));
  set_local("lock_timeout", psprintf("%ld", static_cast<long>(job->lock_timeout)));
  set_local("jit", "off");  // a batch is planned anew and would be compiled anew
}

Outcome run_batch(Session& session, const Job* job, int worker, const Range* range, Lookout* lookout) {
  if (job->follow) lock_window(job->id, false);
  if (!take(job, worker, range)) return Outcome::lost;
  failpoint("migrate_taken");
  set_batch_settings(job);
  instr_time began;
  INSTR_TIME_SET_CURRENT(began);
  ErrorData* error = attempt(session, [&] {
    timer_start(static_cast<long>(job->statement_timeout));
    wal_writer_hurry();
    run_statement(job, range, lookout);
  });
  double milliseconds = milliseconds_since(began);
  lookout_end(lookout, job, range, milliseconds, error != nullptr);
  if (error != nullptr) return settle_failure(job, worker, range, error) ? Outcome::stopped : Outcome::failed;
  failpoint("migrate_checkpoint");
  checkpoint(job, worker, range, milliseconds);
  failpoint("migrate_commit");
  return Outcome::done;
}

}  // namespace conveyor::migrate
