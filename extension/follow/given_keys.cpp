// Functions of keys that somebody names: apply_keys() for repairs, follow_pending() for comparisons.
#include "fetch/owner.hpp"
#include "follow/apply.hpp"
#include "follow/changes.hpp"
#include "migrate/lock.hpp"
#include "window/key_set.hpp"

namespace conveyor::follow {

namespace {

// text[][]: one key a row, the texts of its columns as they are written with the settings pinned.
Keys keys_argument(FunctionCallInfo fcinfo, int argument, const migrate::Job* job) {
  ArrayType* array = PG_GETARG_ARRAYTYPE_P(argument);
  Datum* texts;
  bool* nulls;
  int count;
  deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &texts, &nulls, &count);
  if (count % job->keys != 0 || (count > 0 && (ARR_NDIM(array) != 2 || ARR_DIMS(array)[1] != job->keys)))
    ereport(ERROR, errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
            errmsg("keys of job \"%s\" must have %d columns each", job_title(job), job->keys));
  Keys keys = {key_shape(job), static_cast<HeapTuple*>(palloc(sizeof(HeapTuple) * (count + 1))), 0};
  auto* key = static_cast<char**>(palloc(sizeof(char*) * job->keys));
  for (int at = 0; at < count; at += job->keys) {
    for (int i = 0; i < job->keys; i++) {
      if (nulls[at + i]) ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a key must not have NULLs"));
      key[i] = TextDatumGetCString(texts[at + i]);
    }
    keys.tuples[keys.count++] = key_from_texts(job, keys.shape, key);
  }
  return keys;
}

const migrate::Job* job_argument(FunctionCallInfo fcinfo, int argument) {
  const migrate::Job* job = migrate::read_job(PG_GETARG_INT32(argument));
  if (job == nullptr || job->source_name == nullptr)
    ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("the job or its source does not exist any more"));
  return job;
}

const char* body(HeapTuple tuple) { return reinterpret_cast<const char*>(tuple->t_data) + tuple->t_data->t_hoff; }
uint32 body_length(HeapTuple tuple) { return static_cast<uint32>(tuple->t_len - tuple->t_data->t_hoff); }

}  // namespace

}  // namespace conveyor::follow

using namespace conveyor;
using namespace conveyor::follow;

// Takes the job's window lock shared, as a copy batch does, and reads what is there then.
CONVEYOR_FUNCTION(apply_keys) {
  require_read_committed();
  migrate::lock_window(PG_GETARG_INT32(0), false);
  const migrate::Job* job = job_argument(fcinfo, 0);
  migrate::Parameters parameters;
  migrate::Row row = migrate::ask("SELECT conveyor.repair_begin($1)", parameters.integer(job->id));
  Follower follower = {job, row.string(1), true, false};
  Keys keys = keys_argument(fcinfo, 1, job);
  int level = NewGUCNestLevel();
  set_config_option("search_path", with_temporary_last(job->search_path), PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
                    true, 0, false);
  apply(follower, Step::gone, keys);
  apply(follower, Step::batch, keys);
  AtEOXact_GUC(true, level);
  PG_RETURN_VOID();
}

// Which of the keys have changes between `cursor` and the snapshot of the calling statement; all of them where the log
// cannot tell.
CONVEYOR_FUNCTION(follow_pending) {
  const migrate::Job* job = job_argument(fcinfo, 0);
  Keys asked = keys_argument(fcinfo, 3, job);
  Datum* captures;
  int count;
  deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), INT4OID, sizeof(int32), true, TYPALIGN_INT, &captures, nullptr, &count);
  auto* numbers = static_cast<int32*>(palloc(sizeof(int32) * (count + 1)));
  for (int i = 0; i < count; i++) numbers[i] = DatumGetInt32(captures[i]);

  KeySet set;
  key_set_init(&set);
  auto* places = static_cast<Size*>(palloc(sizeof(Size) * (asked.count + 1)));
  for (int i = 0; i < asked.count; i++) {
    uint32 length = body_length(asked.tuples[i]);
    key_set_add(&set, body(asked.tuples[i]), length, key_hash(body(asked.tuples[i]), length), &places[i]);
  }
  auto* met = static_cast<bool*>(
      MemoryContextAllocExtended(CurrentMemoryContext, set.used + 1, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO));
  Snapshot snapshot = RegisterSnapshot(GetActiveSnapshot());
  constexpr int kMost = 100000;
  Changes* changes = changes_open(job, numbers, count, snapshot_value(PG_GETARG_DATUM(1)), snapshot, kMost);
  for (Keys keys = changes_next(changes); keys.count > 0; keys = changes_next(changes))
    for (int i = 0; i < keys.count; i++) {
      uint32 length = body_length(keys.tuples[i]);
      Size place = key_set_find(&set, body(keys.tuples[i]), length, key_hash(body(keys.tuples[i]), length));
      if (place != kNoKey) met[place] = true;
    }
  bool all = changes_incomplete(changes) != nullptr;
  changes_close(changes);
  UnregisterSnapshot(snapshot);

  auto* answers = static_cast<Datum*>(palloc(sizeof(Datum) * (asked.count + 1)));
  for (int i = 0; i < asked.count; i++) answers[i] = BoolGetDatum(all || met[places[i]]);
  PG_RETURN_ARRAYTYPE_P(construct_array(answers, asked.count, BOOLOID, 1, true, TYPALIGN_CHAR));
}
