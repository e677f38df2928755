// run_migration(migration): the loop of the background workers in a CALL. run_batch(job, worker): one batch, for tests.
#include "migrate/batch.hpp"
#include "migrate/claim.hpp"
#include "migrate/lock.hpp"
#include "migrate/runner.hpp"
#include "migrate/session.hpp"

extern "C" {
#include "executor/spi.h"
}

namespace conveyor::migrate {

namespace {

constexpr long kOthers = 500;  // ms until it is looked again what other sessions have left to do

void require_no_transaction_block(FunctionCallInfo fcinfo, const char* migration) {
  bool atomic = fcinfo->context == nullptr || !IsA(fcinfo->context, CallContext) ||
                reinterpret_cast<CallContext*>(fcinfo->context)->atomic;
  if (atomic)
    ereport(ERROR,
            (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION), errmsg("run_migration cannot run inside a transaction block"),
             errdetail("Each of its batches commits."),
             errhint("Run CALL conveyor.run_migration(%s) by itself; in Flyway, with executeInTransaction=false.",
                     quote_literal_cstr(migration))));
}

struct Next {
  int list;    // by its first job; 0: none has work
  bool taken;  // another session runs it
  char* state;
  char* error;
};

Next next_list(Session& session, const char* migration) {
  session.begin();
  Parameters parameters;
  Row row = ask("SELECT * FROM conveyor.run_next($1)", parameters.string(migration));
  Next next = {row.integer(1), row.boolean(2), row.string(3), row.string(4)};
  session.commit();
  return next;
}

void run_taken_list(Session& session, int list) {
  PG_TRY();
  { run_list(session, list); }
  PG_CATCH();
  {
    leave_role(Role::list, list, 0);
    PG_RE_THROW();
  }
  PG_END_TRY();
  leave_role(Role::list, list, 0);
}

// Works until nothing is left that could be done; what other sessions have taken is waited for.
Next run_all(Session& session, const char* migration) {
  for (;;) {
    Next next = next_list(session, migration);
    if (next.list == 0) return next;
    if (!next.taken && claim_role(Role::list, next.list, 0))
      run_taken_list(session, next.list);
    else
      session.wait(kOthers);
    CHECK_FOR_INTERRUPTS();
  }
}

void report_end(Session& session, const char* migration, const Next& end) {
  const char* quoted = quote_literal_cstr(migration);
  const char* state = end.state == nullptr ? "dropped" : end.state;
  if (strcmp(state, "finished") == 0) {
    session.say(psprintf("migration \"%s\" is finished", migration));
  } else if (strcmp(state, "running") == 0 && end.error == nullptr) {
    session.say(psprintf("migration \"%s\" follows its sources; CALL conveyor.finish_migration(%s) ends that",
                         migration, quoted));
  } else if (strcmp(state, "failed") == 0 || strcmp(state, "running") == 0) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("migration \"%s\" has failed", migration),
                    errdetail_internal("%s", end.error == nullptr ? "" : end.error),
                    errhint("When that is mended, run SELECT conveyor.retry_migration(%s), then CALL "
                            "conveyor.run_migration(%s) again.",
                            quoted, quoted)));
  } else {
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("migration \"%s\" is %s", migration, state),
             strcmp(state, "paused") == 0
                 ? errhint("Run SELECT conveyor.resume_migration(%s), or CALL conveyor.run_migration(%s) after that.",
                           quoted, quoted)
                 : 0));
  }
}

const char* outcome_text(Outcome outcome) {
  switch (outcome) {
    case Outcome::done:
      return "done";
    case Outcome::lost:
      return "lost";
    case Outcome::failed:
      return "failed";
    default:
      return "stopped";
  }
}

const char* key_text(const Job* job, char** key) {
  if (key == nullptr) return "";
  StringInfoData text;
  initStringInfo(&text);
  for (int i = 0; i < job->keys; i++) appendStringInfo(&text, "%s%s", i == 0 ? "" : ",", key[i]);
  return text.data;
}

const char* verdict_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::wait:
      return "wait";
    case Verdict::done:
      return "nothing left";
    default:
      return "not running";
  }
}

}  // namespace

}  // namespace conveyor::migrate

CONVEYOR_FUNCTION(run_migration) {
  using namespace conveyor::migrate;
  if (PG_ARGISNULL(0)) ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("migration must not be null")));
  char* migration = MemoryContextStrdup(PortalContext, text_to_cstring(PG_GETARG_TEXT_PP(0)));
  require_no_transaction_block(fcinfo, migration);
  Session& session = foreground_session();
  SPI_connect_ext(SPI_OPT_NONATOMIC);
  Parameters parameters;
  tell("SELECT conveyor.run_begin($1)", parameters.string(migration));
  session.commit();
  report_end(session, migration, run_all(session, migration));
  SPI_finish();
  PG_RETURN_VOID();
}

CONVEYOR_FUNCTION(run_batch) {
  using namespace conveyor::migrate;
  int worker = PG_GETARG_INT32(1);
  Job* job = read_job(PG_GETARG_INT32(0));
  if (job == nullptr)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no job %d", PG_GETARG_INT32(0))));
  Parameters parameters;
  tell("SELECT conveyor.check_runnable($1)", parameters.string(job->migration));
  begin_job(job);
  Claim claim = claim_range(job, worker);
  if (claim.verdict != Verdict::batch) PG_RETURN_TEXT_P(cstring_to_text(verdict_text(claim.verdict)));
  Lookout lookout = {};
  Outcome outcome = run_batch(foreground_session(), job, worker, &claim.range, &lookout);
  PG_RETURN_TEXT_P(cstring_to_text(psprintf("(%s, %s] %s", key_text(job, claim.range.first),
                                            key_text(job, claim.range.last), outcome_text(outcome))));
}
