#include "follow/apply.hpp"

#include "fetch/owner.hpp"
#include "follow/statement.hpp"
#include "migrate/attempt.hpp"
#include "migrate/failure.hpp"

namespace conveyor::follow {

namespace {

void run_step(const Follower& follower, Step step, const Keys& keys) {
  // Settings are as before when it has run, whatever it has set.
  int level = NewGUCNestLevel();
  run_over(keys, step == Step::batch ? batch_of_keys(follower.job) : gone_keys(follower.job, follower.delete_statement),
           {});
  // What is deferred fails here too, where it can still be told whose fault it is.
  migrate::tell("SET CONSTRAINTS ALL IMMEDIATE", {});
  AtEOXact_GUC(false, level);
}

// Calls a function of ours once for the keys, whose texts must not depend on the session.
void tell_keys(const Keys& keys, const char* sql, const migrate::Parameters& parameters) {
  int level = settings_enter_pinned();
  run_over(keys, sql, parameters);
  settings_leave(level);
}

void keep_dead_row(const Follower& follower, const Keys& key, const ErrorData* error) {
  migrate::Parameters parameters;
  parameters.integer(follower.job->id).string(unpack_sql_state(error->sqlerrcode)).string(error->message);
  tell_keys(key,
            psprintf("SELECT conveyor.follow_dead_row($1, %s, %s, $2, $3) FROM %s AS c", id_of_keys(follower.job),
                     parts_of_keys(follower.job), quote_identifier(kKeys)),
            parameters);
}

void forget_dead_rows(const Follower& follower, const Keys& keys) {
  migrate::Parameters parameters;
  parameters.integer(follower.job->id);
  tell_keys(keys,
            psprintf("SELECT conveyor.follow_alive($1, pg_catalog.array_agg(%s)) FROM %s AS c",
                     id_of_keys(follower.job), quote_identifier(kKeys)),
            parameters);
}

// Is it these keys that are to blame?
bool is_theirs(const Follower& follower, const Keys& keys, const ErrorData* error) {
  migrate::Failure failure = migrate::classify(unpack_sql_state(error->sqlerrcode));
  return failure == migrate::Failure::data ||
         (failure == migrate::Failure::transient && follower.last_time && keys.count == 1);
}

// Halves what fails until it is one key.
void bisect(const Follower& follower, Step step, const Keys& keys) {
  CHECK_FOR_INTERRUPTS();
  MemoryContext caller = CurrentMemoryContext;
  MemoryContext work = AllocSetContextCreate(caller, "pg_conveyor keys applied", ALLOCSET_DEFAULT_SIZES);
  MemoryContextSwitchTo(work);
  ErrorData* error = migrate::attempt(migrate::foreground_session(), [&] {
    migrate::timer_start(static_cast<long>(follower.job->statement_timeout));
    migrate::wal_writer_hurry();
    run_step(follower, step, keys);
  });
  if (error != nullptr) {
    if (!is_theirs(follower, keys, error) || (keys.count == 1 && follower.job->stop_on_error)) ReThrowError(error);
    if (keys.count == 1) keep_dead_row(follower, keys, error);
  }
  MemoryContextSwitchTo(caller);
  MemoryContextDelete(work);
  if (error == nullptr || keys.count == 1) return;
  int half = keys.count / 2;
  bisect(follower, step, part_of(keys, 0, half));
  bisect(follower, step, part_of(keys, half, keys.count - half));
}

}  // namespace

void require_read_committed() {
  if (!IsolationUsesXactSnapshot()) return;
  ereport(ERROR, errcode(ERRCODE_INVALID_TRANSACTION_STATE),
          errmsg("changes can be applied at isolation level READ COMMITTED only"),
          errdetail("The source must be read in a snapshot that is taken behind the job's lock."),
          errhint("Run SET TRANSACTION ISOLATION LEVEL READ COMMITTED first."));
}

void retry_key(const migrate::Job* job, char** texts) {
  migrate::Parameters parameters;
  migrate::Row row = migrate::ask("SELECT conveyor.job_option($1, 'delete_statement')", parameters.integer(job->id));
  Follower follower = {job, row.string(1), false, false};
  HeapTuple tuple;
  Keys key = {key_shape(job), &tuple, 1};
  tuple = key_from_texts(job, key.shape, texts);
  if (follower.delete_statement != nullptr) run_step(follower, Step::gone, key);
  run_step(follower, Step::batch, key);
}

void apply(const Follower& follower, Step step, const Keys& keys) {
  if (keys.count == 0) return;
  // Before the step: a key that fails again is a dead row again.
  if (follower.dead_rows && step == Step::gone) forget_dead_rows(follower, keys);
  if (step == Step::gone && follower.delete_statement == nullptr) return;
  bisect(follower, step, keys);
}

}  // namespace conveyor::follow
