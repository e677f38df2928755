#include "migrate/session.hpp"

extern "C" {
#include "executor/spi.h"
#include "storage/latch.h"
#include "utils/wait_event.h"
}

namespace conveyor::migrate {

namespace {

class ForegroundSession final : public Session {
 public:
  // The commit before has begun the transaction already; it has no snapshot yet.
  void begin() override {
    XactIsoLevel = XACT_READ_COMMITTED;
    XactReadOnly = false;
  }

  void commit() override { SPI_commit(); }

  void wait(long milliseconds) override {
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  }

  void say(const char* text) override { ereport(NOTICE, errmsg_internal("%s", text)); }

  bool background() const override { return false; }
  MemoryContext memory() const override { return PortalContext; }
};

}  // namespace

Session& foreground_session() {
  static ForegroundSession session;
  return session;
}

}  // namespace conveyor::migrate
