#include "examine/probe.hpp"

#include "examine/calling_function.hpp"
#include "examine/plan_tree.hpp"

extern "C" {
#include "common/hashfn.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "mb/pg_wchar.h"
}

namespace conveyor {

namespace {

constexpr long kTexts = 200;          // statements that are told apart by their text; others by what their plans do
constexpr int kStatementShown = 120;  // bytes of a statement that stands in no function

struct SeenKey {
  uint64 text;
  uint64 shape;
};

struct Seen {
  SeenKey key;
  const char* place;
  double calls;
  int count;
  PlanNode* nodes;
  NodeWork* work;
};

struct Execution {
  const QueryDesc* query;
  Seen* seen;
  PlanTree* tree;  // in the query's own memory
};

struct Probe {
  MemoryContext memory;  // NULL: nothing was seen yet
  Oid source;
  const char* outermost;
  HTAB* seen;
  HTAB* executions;
};

bool probing = false;
int depth = 0;                         // statements within statements
const QueryDesc* innermost = nullptr;  // of those that run, where depth > 0
Probe probe = {};

ExecutorStart_hook_type next_start = nullptr;
ExecutorRun_hook_type next_run = nullptr;
ExecutorFinish_hook_type next_finish = nullptr;
ExecutorEnd_hook_type next_end = nullptr;

HTAB* make_table(const char* name, Size key, Size entry) {
  HASHCTL control = {};
  control.keysize = key;
  control.entrysize = entry;
  control.hcxt = probe.memory;
  return hash_create(name, 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

SeenKey key_of(const QueryDesc* query, const PlanTree* tree) {
  SeenKey key = {0, tree->shape};
  const char* text = query->sourceText;
  if (text == nullptr) return key;
  key.text = hash_bytes_extended(reinterpret_cast<const unsigned char*>(text), static_cast<int>(strlen(text)),
                                 static_cast<uint64>(query->plannedstmt->stmt_location + 1));
  // Of statements that are put together with values in them there may be one a row.
  if (hash_get_num_entries(probe.seen) < kTexts || hash_search(probe.seen, &key, HASH_FIND, nullptr) != nullptr)
    return key;
  return {0, tree->shape};
}

const char* place_of(const QueryDesc* query) {
  const char* text = query->sourceText != nullptr ? query->sourceText : "";
  const char* function = calling_function(text, depth > 0 ? innermost->sourceText : nullptr, probe.outermost);
  if (*function != '\0' || depth == 0) return function;
  const int length = static_cast<int>(strlen(text));
  if (length <= kStatementShown) return pstrdup(text);
  return psprintf("%.*s…", pg_mbcliplen(text, length, kStatementShown), text);
}

void describe(Seen* seen, const QueryDesc* query, const PlanTree* tree) {
  MemoryContext before = MemoryContextSwitchTo(probe.memory);
  seen->place = place_of(query);
  seen->calls = 0;
  seen->count = tree->count;
  seen->nodes = describe_plan(tree, probe.source, false);
  seen->work = static_cast<NodeWork*>(palloc0(tree->count * sizeof(NodeWork)));
  MemoryContextSwitchTo(before);
}

void note(QueryDesc* query) {
  if (query->planstate == nullptr) return;
  MemoryContext before = MemoryContextSwitchTo(query->estate->es_query_cxt);
  PlanTree* tree = plan_tree(query);
  MemoryContextSwitchTo(before);

  const SeenKey key = key_of(query, tree);
  bool found;
  auto* seen = static_cast<Seen*>(hash_search(probe.seen, &key, HASH_FIND, &found));
  if (seen == nullptr) {
    // Entered once nothing can fail any more.
    Seen described;
    described.key = key;
    describe(&described, query, tree);
    seen = static_cast<Seen*>(hash_search(probe.seen, &key, HASH_ENTER, &found));
    *seen = described;
  }
  auto* execution = static_cast<Execution*>(hash_search(probe.executions, &query, HASH_ENTER, &found));
  *execution = {query, seen, tree};
}

// Neither allocates nor fails.
void read_off(const QueryDesc* query) {
  if (!probing) return;
  bool found;
  auto* execution = static_cast<Execution*>(hash_search(probe.executions, &query, HASH_FIND, &found));
  if (!found) return;
  execution->seen->calls += 1;
  add_work(execution->tree, execution->seen->work);
  hash_search(probe.executions, &query, HASH_REMOVE, nullptr);
}

// ---- Hooks ----

void on_start(QueryDesc* query, int flags) {
  const bool seen = probing && (flags & EXEC_FLAG_EXPLAIN_ONLY) == 0;
  // An entry that is there already is of a query that an error has ended.
  if (probing) hash_search(probe.executions, &query, HASH_REMOVE, nullptr);
  if (seen) query->instrument_options |= INSTRUMENT_ROWS | INSTRUMENT_TIMER;
  if (next_start != nullptr) {
    next_start(query, flags);
  } else {
    standard_ExecutorStart(query, flags);
  }
  if (seen && probing) note(query);
}

template <typename Call>
void watched(const QueryDesc* query, Call&& call) {
  if (!probing) {
    call();
    return;
  }
  const int outside = depth++;
  const QueryDesc* around = innermost;
  innermost = query;
  PG_TRY();
  { call(); }
  PG_CATCH();
  {
    depth = outside;
    innermost = around;
    read_off(query);
    PG_RE_THROW();
  }
  PG_END_TRY();
  depth = outside;
  innermost = around;
}

void on_run(COMPAT_EXECUTOR_RUN_PARAMETERS) {
  watched(query, [&] {
    if (next_run != nullptr) {
      next_run(COMPAT_EXECUTOR_RUN_ARGUMENTS);
    } else {
      standard_ExecutorRun(COMPAT_EXECUTOR_RUN_ARGUMENTS);
    }
  });
}

void on_finish(QueryDesc* query) {
  watched(query, [&] {
    if (next_finish != nullptr) {
      next_finish(query);
    } else {
      standard_ExecutorFinish(query);
    }
  });
}

void on_end(QueryDesc* query) {
  read_off(query);
  if (next_end != nullptr) {
    next_end(query);
  } else {
    standard_ExecutorEnd(query);
  }
}

void at_transaction_end(XactEvent event, void*) {
  if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT) probe_end();
}

}  // namespace

void follow_executor() {
  next_start = ExecutorStart_hook;
  ExecutorStart_hook = on_start;
  next_run = ExecutorRun_hook;
  ExecutorRun_hook = on_run;
  next_finish = ExecutorFinish_hook;
  ExecutorFinish_hook = on_finish;
  next_end = ExecutorEnd_hook;
  ExecutorEnd_hook = on_end;
  RegisterXactCallback(at_transaction_end, nullptr);
}

void probe_begin(Oid source) {
  probing = false;
  if (probe.memory == nullptr) {
    probe.memory = AllocSetContextCreate(TopMemoryContext, "conveyor probe", ALLOCSET_DEFAULT_SIZES);
  } else {
    MemoryContextReset(probe.memory);
  }
  probe.seen = probe.executions = nullptr;
  probe.source = source;
  probe.outermost = MemoryContextStrdup(probe.memory, error_context());
  HTAB* seen = make_table("conveyor statements", sizeof(SeenKey), sizeof(Seen));
  probe.executions = make_table("conveyor executions", sizeof(QueryDesc*), sizeof(Execution));
  probe.seen = seen;
  depth = 0;
  probing = true;
}

void probe_end() { probing = false; }

std::vector<Statement> probe_statements() {
  std::vector<Statement> statements;
  if (probe.seen == nullptr) return statements;
  statements.reserve(hash_get_num_entries(probe.seen));
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, probe.seen);
  while (const auto* seen = static_cast<const Seen*>(hash_seq_search(&scan))) {
    const auto count = static_cast<size_t>(seen->count);
    statements.push_back({seen->place, seen->calls, {seen->nodes, count}, {seen->work, count}});
  }
  return statements;
}

}  // namespace conveyor
