#include "migrate/claim.hpp"

#include "failpoint.hpp"
#include "fetch/owner.hpp"
#include "migrate/walk.hpp"

extern "C" {
#include "executor/spi.h"
#include "utils/plancache.h"
}

namespace conveyor::migrate {

namespace {

enum Column {
  kVerdict = 1,
  kWait,
  kRange,
  kFirstKey,
  kLastKey,
  kSingle,
  kPiece,
  kRows,
  kAttempts,
  kPosition,
  kEndKey,
  kBatchSize,
  kRecent,
};

constexpr double kExact = 100000;  // rows below which the source is counted instead of estimated

// A source that is dropped leaves its number behind.
void require_source(const Job* job) {
  if (job->source_name == nullptr)
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("the source of job \"%s\" does not exist any more", job->name)));
}

// Keys are turned into texts as they will be read.
Row ask_pinned(const Sql& sql) {
  int level = settings_enter_pinned();
  Row row = ask(sql.text, sql.parameters);
  settings_leave(level);
  return row;
}

char** ask_key(const Sql& sql) {
  Row row = ask_pinned(sql);
  int count;
  return row ? row.strings(1, &count) : nullptr;
}

int64 ask_count(const Job* job, const Range* range) { return ask_pinned(count_sql(job, range)).bigint(1); }

Range range_of(const Row& row) {
  int count;
  Range range = {};
  range.number = row.bigint(kRange);
  range.first = row.strings(kFirstKey, &count);
  range.last = row.strings(kLastKey, &count);
  range.single = row.boolean(kSingle);
  range.piece = row.boolean(kPiece);
  range.rows = row.integer(kRows);
  range.attempts = row.integer(kAttempts);
  return range;
}

int size_of_next(const Job* job, const Row& row) {
  bool null;
  Datum recent = row.value(kRecent, &null);
  int count = 0;
  Datum* items = nullptr;
  if (!null)
    deconstruct_array(DatumGetArrayTypeP(recent), FLOAT4OID, sizeof(float4), true, TYPALIGN_INT, &items, nullptr,
                      &count);
  float* milliseconds = static_cast<float*>(palloc(sizeof(float) * (count + 1)));
  for (int i = 0; i < count; i++) milliseconds[i] = DatumGetFloat4(items[i]);
  return next_size(row.integer(kBatchSize), {milliseconds, static_cast<std::size_t>(count)}, job->size);
}

// The range's `number`th row: how many there are up to it, and its key if there are so many.
Walk find_row(const Job* job, const Range* range, int64 number) {
  int level = settings_enter_pinned();
  Walk walk;
  bool walked = walk_index(job, range, number, &walk);
  settings_leave(level);
  if (walked) return walk;
  walk.key = ask_key(nth_key_sql(job, range, number));
  walk.rows = walk.key == nullptr ? ask_count(job, range) : number;
  return walk;
}

bool same_key(const Job* job, char** one, char** other) {
  for (int i = 0; i < job->keys; i++)
    if (strcmp(one[i], other[i]) != 0) return false;
  return true;
}

// Finds the end of the next range and enters it. While this runs the job's state is locked: claims of one job are made
// one after another. What is left of a job whose last rows are gone is no batch, but for calls: their ranges tile all
// numbers.
Claim enter_new(const Job* job, int worker, const Row& row) {
  int count;
  int size = size_of_next(job, row);
  char** end_key = row.strings(kEndKey, &count);
  Claim claim = {};
  Range& range = claim.range;
  range.first = row.strings(kPosition, &count);
  range.last = end_key;
  Walk walk = find_row(job, &range, size);
  range.rows = static_cast<int>(walk.rows);
  bool exhausted = walk.key == nullptr || same_key(job, walk.key, end_key);
  if (!exhausted) range.last = walk.key;
  failpoint("migrate_claim");
  bool nothing = range.rows == 0 && (job->statement != nullptr || !has_integer_key(job));
  Parameters parameters;
  parameters.integer(job->id).integer(worker).strings(nothing ? nullptr : range.last, job->keys);
  parameters.integer(range.rows).integer(size).boolean(exhausted);
  range.number = ask("SELECT conveyor.job_claim_store($1, $2, $3, $4, $5, $6)", parameters).bigint(1);
  claim.verdict = nothing ? Verdict::wait : Verdict::batch;
  return claim;
}

Verdict verdict_of(const char* word) {
  if (strcmp(word, "batch") == 0) return Verdict::batch;
  if (strcmp(word, "wait") == 0) return Verdict::wait;
  return strcmp(word, "done") == 0 ? Verdict::done : Verdict::leave;
}

double estimated_rows(const Job* job) {
  Sql sql = all_rows_sql(job);
  double rows = 0;
  PushActiveSnapshot(GetTransactionSnapshot());
  SPI_connect();
  SPIPlanPtr plan = SPI_prepare(sql.text, 0, nullptr);
  if (plan == nullptr) elog(ERROR, "could not prepare \"%s\": %s", sql.text, SPI_result_code_string(SPI_result));
  CachedPlan* cached = SPI_plan_get_cached_plan(plan);
  if (cached != nullptr) {
    rows = linitial_node(PlannedStmt, cached->stmt_list)->planTree->plan_rows;
    ReleaseCachedPlan(cached, nullptr);  // the plan is not a saved one
  }
  SPI_finish();
  PopActiveSnapshot();
  return rows;
}

}  // namespace

Claim claim_range(const Job* job, int worker) {
  require_source(job);
  Parameters parameters;
  Row row = ask("SELECT * FROM conveyor.job_claim_begin($1, $2)", parameters.integer(job->id).integer(worker));
  Claim claim = {};
  const char* word = row.string(kVerdict);
  if (strcmp(word, "claim") == 0) return enter_new(job, worker, row);
  if (strcmp(word, "begin") == 0) {
    begin_job(job);
    claim.verdict = Verdict::wait;
    return claim;
  }
  claim.verdict = verdict_of(word);
  claim.wait = static_cast<long>(row.bigint(kWait));
  if (claim.verdict == Verdict::batch) claim.range = range_of(row);
  return claim;
}

char** first_key_of_call(const Job* job, const Range* range) {
  if (range->single) return range->last;
  if (has_integer_key(job) && range->first != nullptr) {
    char** first = static_cast<char**>(palloc(sizeof(char*)));
    first[0] = psprintf(INT64_FORMAT, static_cast<int64>(strtoll(range->first[0], nullptr, 10)) + 1);
    return first;
  }
  return ask_key(nth_key_sql(job, range, 1));
}

void begin_job(const Job* job) {
  Parameters of_job;
  if (!ask("SELECT conveyor.job_is_new($1)", of_job.integer(job->id)).boolean(1)) return;
  require_source(job);
  char** end_key = ask_key(last_key_sql(job));
  double rows = end_key == nullptr ? 0 : estimated_rows(job);
  if (end_key != nullptr && rows < kExact) {
    Range all = {};
    rows = static_cast<double>(ask_count(job, &all));
  }
  Parameters parameters;
  tell("SELECT conveyor.job_begin($1, $2, $3)",
       parameters.integer(job->id).strings(end_key, job->keys).bigint(static_cast<int64>(rows)));
}

void report_rows_behind(const Job* job) {
  if (job->follow) return;  // it learns of them in another way
  Parameters of_job;
  Row end = ask("SELECT conveyor.job_end_key($1)", of_job.integer(job->id));
  int count;
  Range behind = {};
  behind.first = end ? end.strings(1, &count) : nullptr;
  char** first = ask_key(nth_key_sql(job, &behind, 1));
  if (first == nullptr) return;
  Parameters parameters;
  parameters.integer(job->id).strings(first, job->keys);
  tell("SELECT conveyor.job_warn_behind($1, $2)", parameters);
}

}  // namespace conveyor::migrate
