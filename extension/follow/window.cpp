#include "follow/window.hpp"

#include "failpoint.hpp"
#include "fetch/owner.hpp"
#include "follow/apply.hpp"
#include "follow/changes.hpp"
#include "migrate/lock.hpp"

namespace conveyor::follow {

namespace {

// What a window needs beside the job: read under its lock.
struct State {
  const PgSnapshot* cursor;
  int32* captures;
  int ncaptures;
  char* delete_statement;
  bool dead_rows;
};

enum StateColumn { kCursor = 1, kCaptures, kDeleteStatement, kDeadRows };

State read_state(int job) {
  migrate::Parameters parameters;
  migrate::Row row = migrate::ask("SELECT * FROM conveyor.follow_state($1)", parameters.integer(job));
  State state = {};
  bool null;
  state.cursor = snapshot_value(row.value(kCursor, &null));
  Datum* captures;
  deconstruct_array(DatumGetArrayTypeP(row.value(kCaptures, &null)), INT4OID, sizeof(int32), true, TYPALIGN_INT,
                    &captures, nullptr, &state.ncaptures);
  state.captures = static_cast<int32*>(palloc(sizeof(int32) * (state.ncaptures + 1)));
  for (int i = 0; i < state.ncaptures; i++) state.captures[i] = DatumGetInt32(captures[i]);
  state.delete_statement = row.string(kDeleteStatement);
  state.dead_rows = row.boolean(kDeadRows);
  return state;
}

void require_read_committed() {
  if (!IsolationUsesXactSnapshot()) return;
  ereport(ERROR, errcode(ERRCODE_INVALID_TRANSACTION_STATE),
          errmsg("changes can be applied at isolation level READ COMMITTED only"),
          errdetail("The source must be read in a snapshot that is taken behind the job's lock."),
          errhint("Run SET TRANSACTION ISOLATION LEVEL READ COMMITTED first."));
}

// All slices of the window, each through both steps; or, where there are several, all of them through one step and then
// all through the other: what is to be deleted may stand in the way of what another slice brings.
int64 apply_slices(const Follower& follower, const State& state, Snapshot snapshot, int most, const char** incomplete) {
  int64 count = 0;
  auto open = [&] { return changes_open(follower.job, state.captures, state.ncaptures, state.cursor, snapshot, most); };
  Changes* changes = open();
  Keys keys = changes_next(changes);
  bool several = !changes_at_end(changes);
  for (; keys.count > 0; keys = changes_next(changes)) {
    count += keys.count;
    apply(follower, Step::gone, keys);
    if (!several) apply(follower, Step::batch, keys);
    failpoint("follow_slice");
  }
  if (const char* reason = changes_incomplete(changes); reason != nullptr) *incomplete = pstrdup(reason);
  changes_close(changes);
  if (!several) return count;

  changes = open();
  while ((keys = changes_next(changes)).count > 0) apply(follower, Step::batch, keys);
  changes_close(changes);
  return count;
}

// Moves the cursor to where the window ends.
void finish(int job, const State& state, const PgSnapshot* end, int64 count, const char* incomplete) {
  migrate::Parameters parameters;
  parameters.integer(job)
      .add(PG_SNAPSHOTOID, snapshot_datum(state.cursor), false)
      .add(PG_SNAPSHOTOID, snapshot_datum(end), false)
      .bigint(count)
      .string(incomplete);
  migrate::tell("SELECT conveyor.follow_done($1, $2, $3, $4, $5)", parameters);
}

}  // namespace

int64 apply_window(int id, int most) {
  require_read_committed();
  if (most < 1) ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("number of keys must be at least 1"));
  migrate::lock_window(id, true);
  const migrate::Job* job = migrate::read_job(id);
  State state = read_state(id);
  if (job->source_name == nullptr)
    ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE),
            errmsg("the source of job \"%s\" does not exist any more", job_title(job)),
            errhint("Run SELECT conveyor.cancel_migration(%s).", quote_literal_cstr(job->migration)));

  Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  // What this transaction itself changes in the source is logged when it commits: behind the cursor.
  const PgSnapshot* end = snapshot_with_running(snapshot_from(snapshot), GetTopFullTransactionIdIfAny());
  Follower follower = {job, state.delete_statement, state.dead_rows};
  int level = NewGUCNestLevel();
  set_config_option("search_path", with_temporary_last(job->search_path), PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
                    true, 0, false);
  set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  const char* incomplete = nullptr;
  int64 count = apply_slices(follower, state, snapshot, most, &incomplete);
  AtEOXact_GUC(true, level);
  UnregisterSnapshot(snapshot);
  failpoint("follow_window");
  finish(id, state, end, count, incomplete);
  return count;
}

}  // namespace conveyor::follow

CONVEYOR_FUNCTION(follow_window) {
  PG_RETURN_INT64(conveyor::follow::apply_window(PG_GETARG_INT32(0), PG_GETARG_INT32(1)));
}
