#include "migrate/lookout.hpp"

#include "examine/examine_plan.hpp"

namespace conveyor::migrate {

namespace {

double rows_done(int job) {
  Parameters parameters;
  return static_cast<double>(ask("SELECT rows_done FROM conveyor.job_rows($1)", parameters.integer(job)).bigint(1));
}

bool looks(const Lookout* lookout, const Job* job, const Range* range) {
  return lookout->guard != nullptr && job->examine != Examine::off && !range->single;
}

bool same(const char* one, const char* other) {
  return one == nullptr || other == nullptr ? one == other : strcmp(one, other) == 0;
}

// Only what has changed; and the first time, since an earlier session may have left a warning.
void tell_warning(Lookout* lookout, const Job* job) {
  const char* warning = guard_warning(lookout->guard);
  if (lookout->told && same(lookout->warning, warning)) return;
  Parameters parameters;
  tell("SELECT conveyor.job_warn($1, $2)", parameters.integer(job->id).string(warning));
  if (lookout->warning != nullptr) pfree(lookout->warning);
  lookout->warning = warning != nullptr ? MemoryContextStrdup(GetMemoryChunkContext(lookout->guard), warning) : nullptr;
  lookout->told = true;
}

// What is to be seen in many batches is seen over the sessions that they were made by.
void recall_batches(JobGuard* guard, const Job* job, int worker) {
  Parameters parameters;
  Row row = ask("SELECT * FROM conveyor.job_history($1, $2)", parameters.integer(job->id).integer(worker));
  int count = 0;
  double* rows = row.doubles(1, &count);
  double* milliseconds = row.doubles(2, &count);
  double* before = row.doubles(3, &count);
  for (int i = 0; i < count; i++) guard_learn(guard, {rows[i], milliseconds[i], before[i]});
}

}  // namespace

Lookout lookout_open(const Job* job, int worker, MemoryContext memory) {
  Lookout lookout = {};
  if (worker != 0) return lookout;
  lookout.guard = guard_open(memory, job->source, job->examine_every);
  recall_batches(lookout.guard, job, worker);
  lookout.position = rows_done(job->id);
  return lookout;
}

void lookout_close(Lookout* lookout) {
  if (lookout->guard != nullptr) guard_close(lookout->guard);
  *lookout = {};
}

void lookout_plan(Lookout* lookout, const Job* job, const Range* range, const Sql& sql) {
  if (!looks(lookout, job, range) || lookout->planned || job->statement == nullptr) return;
  const Parameters& parameters = sql.parameters;
  const char* warning = examine_plan(
      {sql.text, parameters.count, parameters.types, parameters.values, parameters.nulls}, job->source, range->rows);
  if (warning != nullptr && job->examine == Examine::stop) {
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg_internal("%s", warning),
             errhint("Then run SELECT conveyor.retry_migration(%s); the job's option examine decides whether it stops.",
                     quote_literal_cstr(job->migration))));
  }
  lookout->planned = true;
  guard_plan(lookout->guard, warning);
}

void lookout_begin(Lookout* lookout, const Job* job, const Range* range) {
  if (looks(lookout, job, range)) guard_begin(lookout->guard, range->rows);
}

void lookout_end(Lookout* lookout, const Job* job, const Range* range, double milliseconds, bool failed) {
  if (!looks(lookout, job, range)) return;
  const BatchSample batch = {static_cast<double>(range->rows), milliseconds, lookout->position};
  if (!failed) lookout->position += static_cast<double>(range->rows) * job->workers;
  guard_end(lookout->guard, batch, failed);
  tell_warning(lookout, job);
}

}  // namespace conveyor::migrate
