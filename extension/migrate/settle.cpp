#include "migrate/settle.hpp"

#include "fetch/owner.hpp"
#include "migrate/backoff.hpp"
#include "migrate/failure.hpp"

extern "C" {
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
}

namespace conveyor::migrate {

namespace {

constexpr int kMostText = 2000;  // bytes of a message that are kept

const char* sqlstate_of(const ErrorData* error) { return pstrdup(unpack_sql_state(error->sqlerrcode)); }

Row ask_pinned(const Sql& sql) {
  int level = settings_enter_pinned();
  Row row = ask(sql.text, sql.parameters);
  settings_leave(level);
  return row;
}

char* cut(StringInfo text) {
  text->data[pg_mbcliplen(text->data, text->len, kMostText)] = '\0';
  return text->data;
}

// What went wrong, without the SQLSTATE.
char* message_text(const ErrorData* error) {
  StringInfoData text;
  initStringInfo(&text);
  appendStringInfoString(&text, error->message);
  if (error->detail != nullptr) appendStringInfo(&text, " (%s)", error->detail);
  return cut(&text);
}

// Where to divide it: the last key of its first half, of which there are `*rows`; NULL where it has fewer than two
// rows.
char** middle_of(const Job* job, const Range* range, int64* rows) {
  *rows = ask_pinned(count_sql(job, range)).bigint(1);
  if (*rows < 2) return nullptr;
  int count;
  Row row = ask_pinned(nth_key_sql(job, range, *rows / 2));
  return row ? row.strings(1, &count) : nullptr;
}

// Each of these returns whether the job has stopped, for more failures than it may have.

bool put_off(const Job* job, int worker, const Range* range, const char* text, int64 delay, bool counts) {
  Parameters parameters;
  parameters.integer(job->id).integer(worker).bigint(range->number).string(text).bigint(delay).boolean(counts);
  return ask("SELECT conveyor.job_put_off($1, $2, $3, $4, $5, $6)", parameters).boolean(1);
}

// `delay` -1: both halves may be tried at once.
bool split(const Job* job, int worker, const Range* range, char** middle, int64 rows, const char* text, int64 delay,
           bool counts) {
  Parameters parameters;
  parameters.integer(job->id).integer(worker).bigint(range->number).strings(middle, job->keys);
  parameters.integer(static_cast<int>(rows / 2)).string(text).bigint(delay).boolean(counts);
  return ask("SELECT conveyor.job_split($1, $2, $3, $4, $5, $6, $7, $8)", parameters).boolean(1);
}

bool dead_row(const Job* job, int worker, const Range* range, char** key, const char* sqlstate, const char* text) {
  Parameters parameters;
  parameters.integer(job->id)
      .integer(worker)
      .bigint(range->number)
      .strings(key, job->keys)
      .string(sqlstate)
      .string(text);
  return ask("SELECT conveyor.job_dead_row($1, $2, $3, $4, $5, $6)", parameters).boolean(1);
}

// It took too long: fewer rows will not. Or it was in somebody's way: fewer rows will be less so, a few times; but when
// somebody keeps a lock for an hour, that is no failure of the job's, and its range need not be in pieces afterwards.
bool settle_transient(const Job* job, int worker, const Range* range, const ErrorData* error, const char* sqlstate,
                      const char* text) {
  constexpr int kMostSplits = 3;
  bool too_long = error->sqlerrcode == ERRCODE_QUERY_CANCELED;
  bool last_time = range->attempts + 1 >= job->max_attempts;
  int64 delay = backoff(range->attempts + 1, job->retry_delay, job->max_retry_delay);
  int64 rows = 1;
  char** middle = range->single ? nullptr : middle_of(job, range, &rows);
  if (middle != nullptr) {
    if (too_long || range->attempts < kMostSplits)
      return split(job, worker, range, middle, rows, text, delay, too_long);
    return put_off(job, worker, range, text, delay, too_long);
  }
  if (!last_time) return put_off(job, worker, range, text, delay, too_long);
  int count;
  Row key = range->single ? Row() : ask_pinned(nth_key_sql(job, range, 1));
  return dead_row(job, worker, range, key ? key.strings(1, &count) : range->last, sqlstate, message_text(error));
}

bool settle_data(const Job* job, int worker, const Range* range, const ErrorData* error, const char* sqlstate,
                 const char* text) {
  if (range->single) return dead_row(job, worker, range, range->last, sqlstate, message_text(error));
  int64 rows;
  char** middle = middle_of(job, range, &rows);
  if (middle != nullptr) return split(job, worker, range, middle, rows, text, -1, !range->piece);
  int count;
  Row key = ask_pinned(nth_key_sql(job, range, 1));
  if (key) return dead_row(job, worker, range, key.strings(1, &count), sqlstate, message_text(error));
  // It fails without any row of the source: there is none to blame.
  fail_job(job->id, error);
  return true;
}

}  // namespace

char* error_text(const ErrorData* error) {
  StringInfoData text;
  initStringInfo(&text);
  appendStringInfo(&text, "%s: %s", unpack_sql_state(error->sqlerrcode), message_text(error));
  std::string_view remedy = migrate::remedy(sqlstate_of(error));
  if (!remedy.empty())
    appendStringInfo(&text, " HINT: %.*s", static_cast<int>(remedy.size()), remedy.data());
  else if (error->hint != nullptr)
    appendStringInfo(&text, " HINT: %s", error->hint);
  return cut(&text);
}

void fail_job(int job, const ErrorData* error) {
  Parameters parameters;
  tell("SELECT conveyor.job_fail($1, $2)", parameters.integer(job).string(error_text(error)));
}

bool settle_failure(const Job* job, int worker, const Range* range, const ErrorData* error) {
  const char* sqlstate = sqlstate_of(error);
  const char* text = error_text(error);
  switch (classify(sqlstate)) {
    case Failure::transient:
      return settle_transient(job, worker, range, error, sqlstate, text);
    case Failure::data:
      if (!job->stop_on_error) return settle_data(job, worker, range, error, sqlstate, text);
      break;
    case Failure::fatal:
      break;
  }
  fail_job(job->id, error);
  return true;
}

}  // namespace conveyor::migrate
