#include "migrate/progress.hpp"

#include "migrate/ask.hpp"

namespace conveyor::migrate {

namespace {

constexpr long kPace = 5000;  // ms between two lines

bool due(Progress* progress) {
  TimestampTz now = GetCurrentTimestamp();
  if (!TimestampDifferenceExceeds(progress->said, now, kPace)) return false;
  progress->said = now;
  return true;
}

struct Rows {
  int64 done, total, dead;
};

Rows rows_of(Session& session, int job) {
  session.begin();
  Parameters parameters;
  Row row = ask("SELECT * FROM conveyor.job_rows($1)", parameters.integer(job));
  Rows rows = {row.bigint(1), row.bigint(2), row.bigint(3)};
  session.commit();
  return rows;
}

}  // namespace

void progress_begin(Progress* progress, Session& session, const Job* job, int worker) {
  progress->job = job->id;
  progress->quiet = worker > 0;
  progress->said = GetCurrentTimestamp();
  snprintf(progress->title, sizeof progress->title, "%s/%s", job->migration, job->name);
  if (session.background())
    SetConfigOption("application_name", psprintf("conveyor %s", progress->title), PGC_USERSET, PGC_S_SESSION);
  session.say(progress->quiet ? psprintf("%s, worker %d", progress->title, worker)
                              : psprintf("%s begins", progress->title));
}

void progress_hold(Progress* progress, Session& session, const char* reason) {
  if (session.background() || due(progress)) session.say(psprintf("%s waits: %s", progress->title, reason));
}

void progress_batch(Progress* progress, Session& session, const Job* job, Outcome outcome) {
  if (session.background() || progress->quiet || !due(progress)) return;
  Rows rows = rows_of(session, progress->job);
  double percent =
      rows.total > 0 ? Min(100.0 * static_cast<double>(rows.done) / static_cast<double>(rows.total), 100.0) : 100;
  session.say(psprintf("%s: " INT64_FORMAT " rows, %.1f %%", progress->title, rows.done, percent));
}

void progress_end(Progress* progress, Session& session) {
  Rows rows = rows_of(session, progress->job);
  session.say(rows.dead == 0 ? psprintf("%s has gone through " INT64_FORMAT " rows", progress->title, rows.done)
                             : psprintf("%s has gone through " INT64_FORMAT " rows, " INT64_FORMAT " of them dead",
                                        progress->title, rows.done, rows.dead));
}

}  // namespace conveyor::migrate
