#include "migrate/wal_writer.hpp"

#include "compat.hpp"

extern "C" {
#include "executor/instrument.h"
#include "utils/timeout.h"
}

namespace conveyor::migrate {

namespace {

constexpr int kEvery = 10;            // ms
constexpr uint64 kWorth = 256 << 10;  // bytes of WAL of this session since the last time

bool registered = false;
TimeoutId timer;
volatile uint64 woken_at;  // pgWalUsage.wal_bytes

// In a signal handler.
void look() {
  if (pgWalUsage.wal_bytes - woken_at < kWorth) return;
  woken_at = pgWalUsage.wal_bytes;
  compat::wake_wal_writer();
}

}  // namespace

void wal_writer_hurry() {
  if (!registered) {
    timer = RegisterTimeout(USER_TIMEOUT, look);
    registered = true;
  }
  woken_at = pgWalUsage.wal_bytes;
  enable_timeout_every(timer, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kEvery), kEvery);
}

void wal_writer_relax() {
  if (registered && get_timeout_active(timer)) disable_timeout(timer, false);
}

}  // namespace conveyor::migrate
