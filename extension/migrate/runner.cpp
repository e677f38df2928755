#include "migrate/runner.hpp"

#include "failpoint.hpp"
#include "migrate/attempt.hpp"
#include "migrate/batch.hpp"
#include "migrate/claim.hpp"
#include "migrate/failure.hpp"
#include "migrate/launch.hpp"
#include "migrate/lock.hpp"
#include "migrate/progress.hpp"
#include "migrate/settle.hpp"
#include "migrate/throttle.hpp"

namespace conveyor::migrate {

namespace {

constexpr long kThrottled = 1000;  // ms until a throttle is asked again
constexpr long kLost = 10;         // ms before going on when another worker has taken the range over

int under_way = 0;

struct Worker {
  Session& session;
  int job;
  int number;
  Role role;             // the lock without which it must not go on
  int role_of;           // whose lock it is
  MemoryContext memory;  // of one round
  Progress progress;
  Lookout lookout;
};

// What a job calls may have released every advisory lock of the session.
bool still_ours(const Worker& worker) {
  int number = worker.role == Role::worker ? worker.number : 0;
  return has_role(worker.role, worker.role_of, number) || claim_role(worker.role, worker.role_of, number);
}

// False where the migration does not run; an error where it may not be run by this session, or not go on.
bool is_runnable(int job) {
  Parameters parameters;
  return ask("SELECT conveyor.job_runnable($1)", parameters.integer(job)).boolean(1);
}

// What failed outside of any batch took nothing with it. False: the job has stopped by it.
bool go_on_after(Worker& worker, const ErrorData* error) {
  bool passes = classify(unpack_sql_state(error->sqlerrcode)) == Failure::transient;
  if (!passes) fail_job(worker.job, error);
  worker.session.commit();
  if (passes) worker.session.wait(kThrottled);
  return passes;
}

// Before the source's last key is looked for: what comes behind it is in the change log then.
void begin_to_follow(Worker& worker) {
  Job* job = is_runnable(worker.job) ? read_job(worker.job) : nullptr;
  if (job == nullptr || !job->follow || worker.number != 0) return;
  set_batch_settings(job);
  Parameters parameters;
  tell("SELECT conveyor.follow_start($1)", parameters.integer(worker.job));
}

// The job's beginning, where nobody has begun it, and its set-up.
void open_job(Worker& worker, const Job* job) {
  if (worker.number == 0) begin_job(job);
  if (job->setup != nullptr) {
    set_batch_settings(job);
    run(job->setup, Parameters());
  }
}

// Opens the job once a session. False where it is not to be run.
bool enter_job(Worker& worker) {
  for (;;) {
    bool runnable = false;
    worker.session.begin();
    ErrorData* error = attempt(worker.session, [&] { begin_to_follow(worker); });
    if (error == nullptr) {
      worker.session.commit();
      worker.session.begin();
      error = attempt(worker.session, [&] {
        Job* job = is_runnable(worker.job) ? read_job(worker.job) : nullptr;
        if (job == nullptr) return;
        open_job(worker, job);
        worker.lookout = lookout_open(job, worker.number, worker.session.memory());
        progress_begin(&worker.progress, worker.session, job, worker.number);
        runnable = true;
      });
    }
    if (error == nullptr) {
      worker.session.commit();
      return runnable;
    }
    if (!go_on_after(worker, error)) return false;
  }
}

void close_job(Worker& worker) {
  worker.session.begin();
  if (Job* job = read_job(worker.job); job != nullptr) {
    report_rows_behind(job);
    Parameters parameters;
    tell("SELECT conveyor.job_finish($1)", parameters.integer(worker.job));
  }
  worker.session.commit();
  progress_end(&worker.progress, worker.session);
}

struct Step {
  Job* job;            // NULL: it is not this worker's to go on with
  const char* reason;  // not NULL: throttled
  Claim claim;
};

void find_step(Worker& worker, Step* step) {
  step->job = still_ours(worker) ? read_job(worker.job) : nullptr;
  if (step->job == nullptr || !step->job->running) {
    step->job = nullptr;
    return;
  }
  step->reason = throttle_of(step->job);
  if (step->reason == nullptr) step->claim = claim_range(step->job, worker.number);
}

bool do_batch(Worker& worker, const Job* job, const Range* range) {
  worker.session.begin();
  Outcome outcome = run_batch(worker.session, job, worker.number, range, &worker.lookout);
  worker.session.commit();
  failpoint("migrate_committed");
  progress_batch(&worker.progress, worker.session, job, outcome);
  if (outcome == Outcome::lost) worker.session.wait(kLost);
  return outcome != Outcome::stopped;
}

// One claim and what follows from it. False: this worker has nothing more to do.
bool round(Worker& worker, bool* finished) {
  Session& session = worker.session;
  session.begin();
  // Lost in a crash, a claim is made again: what its batch did is lost with it.
  set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
  Step step = {};
  ErrorData* error = attempt(session, [&] { find_step(worker, &step); });
  if (error != nullptr) return go_on_after(worker, error);
  session.commit();
  failpoint("migrate_claimed");
  if (step.job == nullptr) return false;
  if (worker.number == 0) keep_helpers(step.job);
  if (step.reason != nullptr) {
    progress_hold(&worker.progress, session, step.reason);
    session.wait(kThrottled);
    return true;
  }
  switch (step.claim.verdict) {
    case Verdict::batch:
      return do_batch(worker, step.job, &step.claim.range);
    case Verdict::wait:
      session.wait(step.claim.wait);
      return true;
    case Verdict::done:
      *finished = true;
      return false;
    default:
      return false;
  }
}

// True when the job is done.
bool run_job(Worker& worker) {
  under_way = worker.job;
  bool finished = false;
  MemoryContext caller = CurrentMemoryContext;
  worker.memory = AllocSetContextCreate(worker.session.memory(), "conveyor round", ALLOCSET_DEFAULT_SIZES);
  MemoryContextSwitchTo(worker.memory);
  if (enter_job(worker)) {
    bool more = true;
    while (more) {
      MemoryContextSwitchTo(worker.memory);
      MemoryContextReset(worker.memory);
      CHECK_FOR_INTERRUPTS();
      more = round(worker, &finished);
    }
    MemoryContextSwitchTo(worker.memory);
    if (finished && worker.number == 0) close_job(worker);
  }
  lookout_close(&worker.lookout);
  MemoryContextSwitchTo(caller);
  MemoryContextDelete(worker.memory);
  under_way = 0;
  return finished;
}

}  // namespace

int next_of_list(Session& session, int first_of_list) {
  session.begin();
  Parameters parameters;
  int job = ask("SELECT conveyor.job_next($1)", parameters.integer(first_of_list)).integer(1);
  session.commit();
  return job;
}

void run_list(Session& session, int first_of_list) {
  for (;;) {
    int job = next_of_list(session, first_of_list);
    if (job == 0) return;
    Worker worker = {session, job, 0, Role::list, first_of_list, nullptr, {}, {}};
    if (!run_job(worker)) return;
  }
}

void help(Session& session, int job, int number) {
  Worker worker = {session, job, number, Role::worker, job, nullptr, {}, {}};
  run_job(worker);
}

int job_under_way() { return under_way; }

}  // namespace conveyor::migrate
