#include "migrate/session.hpp"

extern "C" {
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "utils/wait_event.h"
}

namespace conveyor::migrate {

namespace {

class BackgroundSession final : public Session {
 public:
  void begin() override {
    if (ConfigReloadPending) {
      ConfigReloadPending = false;
      ProcessConfigFile(PGC_SIGHUP);
    }
    MemoryContext context = CurrentMemoryContext;
    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
    MemoryContextSwitchTo(context);
    XactIsoLevel = XACT_READ_COMMITTED;
    XactReadOnly = false;
  }

  void commit() override {
    MemoryContext context = CurrentMemoryContext;
    CommitTransactionCommand();
    MemoryContextSwitchTo(context);
    pgstat_report_stat(false);
  }

  void wait(long milliseconds) override {
    pgstat_report_stat(true);
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  }

  void say(const char* text) override {
    pgstat_report_activity(STATE_RUNNING, text);
    ereport(DEBUG1, errmsg_internal("%s", text));
  }

  bool background() const override { return true; }
  MemoryContext memory() const override { return TopMemoryContext; }
};

}  // namespace

Session& background_session() {
  static BackgroundSession session;
  return session;
}

}  // namespace conveyor::migrate
