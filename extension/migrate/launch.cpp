#include "migrate/launch.hpp"

extern "C" {
#include "executor/spi.h"
#include "storage/latch.h"
}

namespace conveyor::migrate {

namespace {

constexpr int kMostWorkers = 64;
constexpr long kLook = 1000;  // ms

// What this transaction has to launch once it has committed.
struct Pending {
  Pending* next;
  SubTransactionId subtransaction;  // that asked for it, or took it over from a child
  Orders orders;
  char title[BGW_MAXLEN];
};
Pending* pending = nullptr;  // in TopTransactionContext

// The helpers of the job that this session runs.
struct {
  int job;
  TimestampTz looked;
  BackgroundWorkerHandle* handle[kMostWorkers];
} helpers;

void warn_no_worker(const char* title) {
  ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                    errmsg("%s waits for a background worker: max_worker_processes = %d are in use", title,
                           max_worker_processes),
                    errhint("It begins at the next SELECT conveyor.tick() that finds one free; CALL "
                            "conveyor.run_migration() needs none.")));
}

// After the commit record: nothing here may fail, and a registration that finds no slot does not.
void at_transaction(XactEvent event, void*) {
  if (event == XACT_EVENT_COMMIT)
    for (Pending* each = pending; each != nullptr; each = each->next)
      if (!launch(each->orders, each->title, nullptr)) warn_no_worker(each->title);
  if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE) pending = nullptr;
}

void at_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void*) {
  if (event == SUBXACT_EVENT_COMMIT_SUB) {
    for (Pending* each = pending; each != nullptr; each = each->next)
      if (each->subtransaction == mine) each->subtransaction = parent;
  } else if (event == SUBXACT_EVENT_ABORT_SUB) {
    for (Pending** each = &pending; *each != nullptr;)
      if ((*each)->subtransaction == mine)
        *each = (*each)->next;
      else
        each = &(*each)->next;
  }
}

struct Due {
  Orders orders;
  char* title;
};

// The lists that have work and no runner, the jobs that nobody follows.
Due* due_workers(Datum migration, bool all, int* count) {
  MemoryContext caller = CurrentMemoryContext;
  SPI_connect();
  Oid types[] = {TEXTOID};
  Datum values[] = {migration};
  if (SPI_execute_with_args("SELECT d.job, d.worker, d.owner, d.title FROM conveyor.due_workers($1) AS d", 1, types,
                            values, all ? "n" : nullptr, false, 0) != SPI_OK_SELECT)
    elog(ERROR, "could not look up what is due");
  *count = static_cast<int>(SPI_processed);
  Due* due = static_cast<Due*>(MemoryContextAlloc(caller, sizeof(Due) * (*count + 1)));
  for (int i = 0; i < *count; i++) {
    bool null;
    auto column = [&](int number) {
      return SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, number, &null);
    };
    due[i].orders = {MyDatabaseId, DatumGetObjectId(column(3)), DatumGetInt32(column(1)), DatumGetInt32(column(2))};
    due[i].title = MemoryContextStrdup(caller, TextDatumGetCString(column(4)));
  }
  SPI_finish();
  return due;
}

}  // namespace

bool launch(const Orders& orders, const char* title, BackgroundWorkerHandle** handle) {
  static_assert(sizeof(Orders) <= BGW_EXTRALEN);
  BackgroundWorker worker = {};
  worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
  worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
  worker.bgw_restart_time = BGW_NEVER_RESTART;  // conveyor.tick() does, and looks first
  strlcpy(worker.bgw_library_name, "pg_conveyor", sizeof worker.bgw_library_name);
  strlcpy(worker.bgw_function_name, "conveyor_migration_worker", sizeof worker.bgw_function_name);
  snprintf(worker.bgw_name, sizeof worker.bgw_name, "conveyor %s", title);
  strlcpy(worker.bgw_type, "conveyor migration", sizeof worker.bgw_type);
  memcpy(worker.bgw_extra, &orders, sizeof orders);
  if (handle != nullptr) worker.bgw_notify_pid = MyProcPid;
  return RegisterDynamicBackgroundWorker(&worker, handle);
}

void keep_helpers(const Job* job) {
  if (job->workers < 2) return;
  TimestampTz now = GetCurrentTimestamp();
  if (helpers.job != job->id) {
    helpers = {};
    helpers.job = job->id;
  } else if (!TimestampDifferenceExceeds(helpers.looked, now, kLook)) {
    return;
  }
  helpers.looked = now;
  for (int i = 1; i < job->workers; i++) {
    BackgroundWorkerHandle*& handle = helpers.handle[i];
    pid_t pid;
    if (handle != nullptr) {
      if (GetBackgroundWorkerPid(handle, &pid) != BGWH_STOPPED) continue;
      pfree(handle);
      handle = nullptr;
    }
    MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
    bool launched =
        launch({MyDatabaseId, job->owner, job->id, i}, psprintf("%s/%s %d", job->migration, job->name, i), &handle);
    MemoryContextSwitchTo(caller);
    if (!launched) return;
  }
}

void follow_launches() {
  RegisterXactCallback(at_transaction, nullptr);
  RegisterSubXactCallback(at_subtransaction, nullptr);
}

}  // namespace conveyor::migrate

CONVEYOR_FUNCTION(launch) {
  using namespace conveyor::migrate;
  int count;
  Due* due = due_workers(PG_GETARG_DATUM(0), false, &count);
  for (int i = 0; i < count; i++) {
    Pending* each = static_cast<Pending*>(MemoryContextAlloc(TopTransactionContext, sizeof(Pending)));
    each->next = pending;
    each->subtransaction = GetCurrentSubTransactionId();
    each->orders = due[i].orders;
    strlcpy(each->title, due[i].title, sizeof each->title);
    pending = each;
  }
  PG_RETURN_VOID();
}

CONVEYOR_FUNCTION(launch_due) {
  using namespace conveyor::migrate;
  int count, missing = 0;
  Due* due = due_workers(0, true, &count);
  for (int i = 0; i < count; i++) {
    if (launch(due[i].orders, due[i].title, nullptr)) continue;
    missing++;
    if (due[i].orders.worker == kFollower) continue;
    Parameters parameters;
    tell("SELECT conveyor.wait_for_worker($1)", parameters.integer(due[i].orders.job));
  }
  PG_RETURN_INT32(missing);
}
