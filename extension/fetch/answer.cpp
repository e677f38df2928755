#include "fetch/answer.hpp"

#include "fetch/owner.hpp"
#include "snapshot/require.hpp"

extern "C" {
#include "commands/lockcmds.h"
#include "nodes/makefuncs.h"
}

namespace conveyor {

namespace {

void close(Answer* answer) {
  if (answer->closed) return;
  answer->closed = true;
  cursor_close(&answer->cursor);
  if (answer->kind->close != nullptr) answer->kind->close(answer);
  UnregisterSnapshotFromOwner(answer->snapshot, answer->owner);
}

void abandoned(Datum answer) { close(reinterpret_cast<Answer*>(DatumGetPointer(answer))); }

// Locks the view and all that it reads. A TRUNCATE or rewrite that came between the snapshot and the read would look
// like deletes, so this comes before S.
void lock_view(const Feed* feed) {
  LockStmt* statement = makeNode(LockStmt);
  RangeVar* view = makeRangeVar(get_namespace_name(get_rel_namespace(feed->view)), get_rel_name(feed->view), -1);
  if (view->relname == nullptr)
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("document view of feed \"%s\" does not exist", feed->name)));
  statement->relations = list_make1(view);
  statement->mode = AccessShareLock;
  statement->nowait = false;
  LockTableCommand(statement);
}

const PgSnapshot* required_snapshot(FunctionCallInfo fcinfo, int number) {
  if (PG_ARGISNULL(number))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("snapshot to contain must not be null"),
                    errhint("Give the window's snapshot, or conveyor.latest_snapshot().")));
  return snapshot_value(PG_GETARG_DATUM(number));
}

Answer* begin(FunctionCallInfo fcinfo, const AnswerKind* kind, int at_least, MemoryContext context) {
  if (PG_ARGISNULL(0))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("name of the delivery must not be null")));
  require_primary();
  require_reading_transaction();
  require_no_transaction_id();

  MemoryContext old = MemoryContextSwitchTo(context);
  Answer* answer = static_cast<Answer*>(palloc0(kind->size));
  answer->kind = kind;
  answer->context = context;
  answer->owner = CurrentResourceOwner;
  answer->feed = feed_lookup(text_to_cstring(PG_GETARG_TEXT_PP(0)), function_owner(fcinfo->flinfo->fn_oid));

  Scope scope = scope_enter_feed(answer->feed);
  lock_view(answer->feed);
  require_no_transaction_id();
  answer->snapshot = RegisterSnapshotOnOwner(GetLatestSnapshot(), answer->owner);
  answer->bounds = snapshot_from(answer->snapshot);
  if (at_least >= 0) require_contains(answer->bounds, required_snapshot(fcinfo, at_least));

  frame_begin(&answer->frames);
  frame_header(&answer->frames, snapshot_version(answer->bounds, answer->feed->epoch), snapshot_text(answer->bounds));
  PushActiveSnapshot(answer->snapshot);
  kind->open(answer, fcinfo);
  PopActiveSnapshot();
  scope_leave(&scope);
  MemoryContextSwitchTo(old);
  return answer;
}

void advance(Answer* answer) {
  MemoryContext old = MemoryContextSwitchTo(answer->context);
  Scope scope = scope_enter_feed(answer->feed);
  PushActiveSnapshot(answer->snapshot);
  answer->finished = answer->kind->more(answer);
  if (answer->finished) {
    frame_end(&answer->frames);
    frame_rotate(&answer->frames);
  }
  PopActiveSnapshot();
  scope_leave(&scope);
  MemoryContextSwitchTo(old);
}

}  // namespace

Datum answer_next(FunctionCallInfo fcinfo, const AnswerKind* kind, int at_least) {
  ReturnSetInfo* info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  FuncCallContext* calls;
  if (SRF_IS_FIRSTCALL()) {
    calls = SRF_FIRSTCALL_INIT();
    Answer* answer = begin(fcinfo, kind, at_least, calls->multi_call_memory_ctx);
    calls->user_fctx = answer;
    // Called before the memory goes, since the later registration runs first.
    RegisterExprContextCallback(info->econtext, abandoned, PointerGetDatum(answer));
  }
  calls = SRF_PERCALL_SETUP();
  Answer* answer = static_cast<Answer*>(calls->user_fctx);
  if (answer->finished) {
    UnregisterExprContextCallback(info->econtext, abandoned, PointerGetDatum(answer));
    close(answer);
    SRF_RETURN_DONE(calls);
  }
  advance(answer);
  Datum frame = frame_take(&answer->frames);
  SRF_RETURN_NEXT(calls, frame);
}

char** key_arguments(FunctionCallInfo fcinfo, int number, int* count) {
  *count = 0;
  if (PG_ARGISNULL(number)) return nullptr;
  Datum* items;
  bool* nulls;
  deconstruct_array(PG_GETARG_ARRAYTYPE_P(number), TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, count);
  char** keys = static_cast<char**>(palloc(sizeof(char*) * (*count + 1)));
  for (int i = 0; i < *count; i++) {
    if (nulls[i]) ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("key must not be null")));
    keys[i] = TextDatumGetCString(items[i]);
  }
  return keys;
}

}  // namespace conveyor
