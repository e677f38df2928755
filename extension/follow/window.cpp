#include "follow/window.hpp"

#include "failpoint.hpp"
#include "fetch/owner.hpp"
#include "follow/apply.hpp"
#include "follow/changes.hpp"
#include "migrate/lock.hpp"

namespace conveyor::follow {

namespace {

// What is done with the slices that a pass goes through. With a delete_statement and several slices there are two
// passes, since what one slice deletes may stand in the way of what another one brings.
enum class Pass { both, gone, batch };
constexpr const char* kPasses[] = {"both", "gone", "batch"};

struct Window {
  const PgSnapshot* began;  // the job's cursor
  const PgSnapshot* ended;  // NULL: not begun
  Pass pass;
  ChangesPlace place;
  int64 keys;  // applied
  int64 seen;  // the same as changes
  const char* incomplete;
  bool over;
};

// What a window needs beside the job: read under its lock.
struct State {
  int32* captures;
  int ncaptures;
  char* delete_statement;
  bool dead_rows;
};

struct Work {
  const migrate::Job* job;
  State state;
  Window window;
  int most;
  bool last_time;
};

enum StateColumn {
  kCursor = 1,
  kCaptures,
  kDeleteStatement,
  kDeadRows,
  kEnded,
  kPass,
  kPlace,
  kKeys,
  kSeen,
  kIncomplete
};

Pass pass_of(const char* name) {
  for (Pass pass : {Pass::gone, Pass::batch})
    if (strcmp(name, kPasses[static_cast<int>(pass)]) == 0) return pass;
  return Pass::both;
}

constexpr int kPlaceParts = 5;

ChangesPlace place_from(Datum parts) {
  Datum* part;
  int count;
  deconstruct_array(DatumGetArrayTypeP(parts), INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE, &part, nullptr, &count);
  auto number = [&](int i) { return DatumGetInt64(part[i]); };
  return {{static_cast<Oid>(number(0)), static_cast<Oid>(number(1)), static_cast<BlockNumber>(number(2)),
           static_cast<OffsetNumber>(number(3))},
          static_cast<int32>(number(4))};
}

Datum place_datum(const ChangesPlace& place) {
  const LogPlace& row = place.row;
  Datum part[kPlaceParts] = {Int64GetDatum(row.segment), Int64GetDatum(row.file), Int64GetDatum(row.block),
                             Int64GetDatum(row.item), Int64GetDatum(place.bytes)};
  return PointerGetDatum(construct_array(part, kPlaceParts, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE));
}

void read_state(int job, Work* work) {
  migrate::Parameters parameters;
  migrate::Row row = migrate::ask("SELECT * FROM conveyor.follow_state($1)", parameters.integer(job));
  State* state = &work->state;
  bool null;
  Datum* captures;
  deconstruct_array(DatumGetArrayTypeP(row.value(kCaptures, &null)), INT4OID, sizeof(int32), true, TYPALIGN_INT,
                    &captures, nullptr, &state->ncaptures);
  state->captures = static_cast<int32*>(palloc(sizeof(int32) * (state->ncaptures + 1)));
  for (int i = 0; i < state->ncaptures; i++) state->captures[i] = DatumGetInt32(captures[i]);
  state->delete_statement = row.string(kDeleteStatement);
  state->dead_rows = row.boolean(kDeadRows);

  Window* window = &work->window;
  window->began = snapshot_value(row.value(kCursor, &null));
  if (row.is_null(kEnded)) return;
  window->ended = snapshot_value(row.value(kEnded, &null));
  window->pass = pass_of(row.string(kPass));
  if (!row.is_null(kPlace)) window->place = place_from(row.value(kPlace, &null));
  window->keys = row.bigint(kKeys);
  window->seen = row.bigint(kSeen);
  window->incomplete = row.string(kIncomplete);
}

Work prepare(int id, int most) {
  require_read_committed();
  if (most < 1) ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("number of keys must be at least 1"));
  migrate::lock_window(id, true);
  Work work = {};
  read_state(id, &work);  // an error where there is no such job
  work.job = migrate::read_job(id);
  if (work.job->source_name == nullptr)
    ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE),
            errmsg("the source of job \"%s\" does not exist any more", job_title(work.job)),
            errhint("Run SELECT conveyor.cancel_migration(%s).", quote_literal_cstr(work.job->migration)));
  work.most = Min(most, work.job->size.maximum);
  return work;
}

void apply_pass(const Work* work, const Keys& keys) {
  Follower follower = {work->job, work->state.delete_statement, work->state.dead_rows, work->last_time};
  if (work->window.pass != Pass::batch) apply(follower, Step::gone, keys);
  if (work->window.pass != Pass::gone) apply(follower, Step::batch, keys);
}

// Applies the next slice; a window that was not begun begins with it, and ends with the latest snapshot.
int64 next_slice(Work* work) {
  Window* window = &work->window;
  Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  bool begins = window->ended == nullptr;
  // What this transaction itself changes in the source is logged when it commits: behind the cursor.
  if (begins) window->ended = snapshot_with_running(snapshot_from(snapshot), GetTopFullTransactionIdIfAny());
  Changes* changes =
      changes_open(work->job, work->state.captures, work->state.ncaptures, window->began, snapshot, work->most);
  changes_go_on(changes, window->place, window->ended);
  Keys keys = changes_next(changes);
  if (begins && work->state.delete_statement != nullptr && !changes_at_end(changes)) window->pass = Pass::gone;
  apply_pass(work, keys);
  failpoint("follow_slice");
  if (window->pass != Pass::gone) {
    window->keys += keys.count;
    window->seen += changes_seen(changes);
  }
  window->place = changes_place(changes);
  if (const char* reason = changes_incomplete(changes); reason != nullptr && window->incomplete == nullptr)
    window->incomplete = pstrdup(reason);
  int64 count = keys.count;
  window->over = changes_at_end(changes) && window->pass != Pass::gone;
  if (changes_at_end(changes) && window->pass == Pass::gone) {
    window->pass = Pass::batch;
    window->place = {};
  }
  changes_close(changes);
  UnregisterSnapshot(snapshot);
  return count;
}

// In the job's settings; those that were there come back.
int64 next_slice_as_job(Work* work) {
  int level = NewGUCNestLevel();
  set_config_option("search_path", with_temporary_last(work->job->search_path), PGC_USERSET, PGC_S_SESSION,
                    GUC_ACTION_SAVE, true, 0, false);
  set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  int64 count = next_slice(work);
  AtEOXact_GUC(true, level);
  return count;
}

// How far the window is; `keys` of them were applied in this transaction.
void checkpoint(const Work* work, int64 keys) {
  const Window& window = work->window;
  migrate::Parameters parameters;
  parameters.integer(work->job->id)
      .add(PG_SNAPSHOTOID, snapshot_datum(window.began), false)
      .add(PG_SNAPSHOTOID, snapshot_datum(window.ended), false)
      .string(kPasses[static_cast<int>(window.pass)])
      .add(INT8ARRAYOID, place_datum(window.place), !OidIsValid(window.place.row.segment))
      .bigint(window.keys)
      .bigint(window.seen)
      .string(window.incomplete)
      .bigint(keys);
  migrate::tell("SELECT conveyor.follow_checkpoint($1, $2, $3, $4, $5, $6, $7, $8, $9)", parameters);
}

// Moves the cursor to where the window ends.
void finish(const Work* work, int64 keys) {
  const Window& window = work->window;
  migrate::Parameters parameters;
  parameters.integer(work->job->id)
      .add(PG_SNAPSHOTOID, snapshot_datum(window.began), false)
      .add(PG_SNAPSHOTOID, snapshot_datum(window.ended), false)
      .bigint(window.keys)
      .string(window.incomplete)
      .bigint(keys);
  migrate::tell("SELECT conveyor.follow_done($1, $2, $3, $4, $5, $6)", parameters);
}

}  // namespace

Slice apply_slice(int id, int most, bool last_time) {
  Work work = prepare(id, most);
  work.last_time = last_time;
  int64 before = work.window.keys;
  int64 keys = next_slice_as_job(&work);
  failpoint("follow_window");
  if (work.window.over)
    finish(&work, work.window.keys - before);
  else
    checkpoint(&work, work.window.keys - before);
  return {keys, !work.window.over};
}

int64 apply_window(int id, int most) {
  Work work = prepare(id, most);
  int64 all = 0;
  for (;;) {
    bool under_way = work.window.ended != nullptr;
    int64 before = work.window.keys;
    while (!work.window.over) {
      CHECK_FOR_INTERRUPTS();
      next_slice_as_job(&work);
    }
    failpoint("follow_window");
    finish(&work, work.window.keys - before);
    all += work.window.keys - before;
    if (!under_way) return all;
    // Behind it there is what has changed since it began.
    Window next = {};
    next.began = work.window.ended;
    work.window = next;
  }
}

}  // namespace conveyor::follow

CONVEYOR_FUNCTION(follow_window) {
  PG_RETURN_INT64(conveyor::follow::apply_window(PG_GETARG_INT32(0), PG_GETARG_INT32(1)));
}

CONVEYOR_FUNCTION(follow_slice) {
  PG_RETURN_BOOL(conveyor::follow::apply_slice(PG_GETARG_INT32(0), PG_GETARG_INT32(1), false).more);
}
