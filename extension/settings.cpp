#include "settings.hpp"

#include "compat.hpp"
#include "failpoint.hpp"

#include <climits>

namespace conveyor {

Settings settings;

namespace {

const config_enum_entry capture_error_policies[] = {
    {"fail", static_cast<int>(CaptureErrorPolicy::fail), false},
    {"mark", static_cast<int>(CaptureErrorPolicy::mark), false},
    {nullptr, 0, false},
};

const config_enum_entry epoch_policies[] = {
    {"manual", static_cast<int>(EpochPolicy::manual), false},
    {"automatic", static_cast<int>(EpochPolicy::automatic), false},
    {nullptr, 0, false},
};

bool check_power_of_two(int* value, void**, GucSource) {
  if ((*value & (*value - 1)) == 0) return true;
  GUC_check_errdetail("The value must be a power of two.");
  return false;
}

bool check_max_log_size(int* value, void**, GucSource) {
  if (*value != 0) return true;
  GUC_check_errdetail("A log without room would make every delivery stale; use -1 for no bound.");
  return false;
}

void define_log_settings() {
  DefineCustomIntVariable("conveyor.buffer_size",
                          "Captured keys that a transaction holds in memory before it writes them to the change log.",
                          nullptr, &settings.buffer_size, 4096, 64, 1024 * 1024, PGC_SUSET, GUC_UNIT_KB, nullptr,
                          nullptr, nullptr);
  DefineCustomEnumVariable(
      "conveyor.on_capture_error", "What becomes of a transaction whose changes cannot be recorded.",
      "fail: it is aborted. mark: it commits, and the relations it changed are re-checked.", &settings.on_capture_error,
      static_cast<int>(CaptureErrorPolicy::fail), capture_error_policies, PGC_SUSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "conveyor.max_log_size", "Size of the change log past which writers record that they wrote, not what.",
      "Deliveries that meet such a record become stale and compare everything. -1 means no bound.",
      &settings.max_log_size, 10 * 1024, -1, INT_MAX, PGC_SUSET, GUC_UNIT_MB, check_max_log_size, nullptr, nullptr);
  DefineCustomIntVariable(
      "conveyor.segment_size", "Size at which a segment of the change log is due to be emptied, or the ring to grow.",
      nullptr, &settings.segment_size, 64, 1, 1024 * 1024, PGC_SUSET, GUC_UNIT_MB, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("conveyor.segment_transactions",
                          "Transactions in a row that write into the same segment of the change log; a power of two.",
                          nullptr, &settings.segment_transactions, 16384, 1, 1 << 30, PGC_SUSET, 0, check_power_of_two,
                          nullptr, nullptr);
}

void define_delivery_settings() {
  DefineCustomIntVariable("conveyor.window_memory", "Memory for the keys of one window of the change log.", nullptr,
                          &settings.window_memory, 64 * 1024, 64, 2 * 1024 * 1024, PGC_SUSET, GUC_UNIT_KB, nullptr,
                          nullptr, nullptr);
  DefineCustomIntVariable(
      "conveyor.fetch_lock_timeout", "Time that reading documents waits for the lock of a DDL statement.",
      "Then it lets go of the locks that it has and is tried again, so that the DDL can go on. 0 means that it waits.",
      &settings.fetch_lock_timeout, 500, 0, 24 * 3600 * 1000, PGC_SUSET, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("conveyor.lease_timeout", "Time without a heartbeat after which another agent takes over.",
                          nullptr, &settings.lease_timeout, 10 * 1000, 1000, 24 * 3600 * 1000, PGC_SUSET, GUC_UNIT_MS,
                          nullptr, nullptr, nullptr);
  DefineCustomIntVariable("conveyor.orphan_time",
                          "Time for which requests of an agent that is gone may still be applied.",
                          "Deletes sent meanwhile are read and sent again afterwards.", &settings.orphan_time,
                          15 * 60 * 1000, 1000, 24 * 3600 * 1000, PGC_SUSET, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomEnumVariable("conveyor.confirm_epoch",
                           "Who confirms that deliveries go on after a promotion, restore or copy of the database.",
                           "manual: they wait for conveyor.confirm_epoch(). automatic: they go on with a re-check.",
                           &settings.confirm_epoch, static_cast<int>(EpochPolicy::manual), epoch_policies, PGC_SUSET, 0,
                           nullptr, nullptr, nullptr);
}

}  // namespace

void define_settings() {
  define_log_settings();
  define_delivery_settings();
  DefineCustomStringVariable("conveyor.failpoint", "Named points at which tests stop or crash a session.",
                             "NAME=ACTION[,…]; actions: stop, kill, panic, error, sleep:MILLISECONDS, lock:NUMBER "
                             "(waits for that advisory lock).",
                             &settings.failpoint, "", PGC_SUSET, GUC_NOT_IN_SAMPLE | GUC_NO_SHOW_ALL, check_failpoint,
                             nullptr, nullptr);
  DefineCustomBoolVariable("conveyor.installing", "Set while capture triggers are put in place; not for people.",
                           nullptr, &settings.installing, false, PGC_SUSET,
                           GUC_NOT_IN_SAMPLE | GUC_NO_SHOW_ALL | GUC_NO_RESET_ALL, nullptr, nullptr, nullptr);
  MarkGUCPrefixReserved("conveyor");
}

}  // namespace conveyor
