#include "migrate/timer.hpp"

#include "compat.hpp"

#include <csignal>

extern "C" {
#include "storage/latch.h"
#include "utils/timeout.h"
}

namespace conveyor::migrate {

namespace {

bool registered = false;
TimeoutId timer;
volatile sig_atomic_t fired = 0;

// In a signal handler: what the handler of a cancel request does.
void run_out() {
  fired = 1;
  InterruptPending = true;
  QueryCancelPending = true;
  SetLatch(MyLatch);
}

}  // namespace

void timer_start(long milliseconds) {
  if (!registered) {
    timer = RegisterTimeout(USER_TIMEOUT, run_out);
    registered = true;
  }
  fired = 0;
  enable_timeout_after(timer, static_cast<int>(Min(milliseconds, PG_INT32_MAX)));
}

bool timer_stop() {
  if (registered && get_timeout_active(timer)) disable_timeout(timer, false);
  if (!fired) return false;
  QueryCancelPending = false;
  fired = 0;
  return true;
}

}  // namespace conveyor::migrate
