// The extension's settings (GUCs `conveyor.…`). All are PGC_SUSET, so that ALTER SYSTEM, ALTER DATABASE and ALTER ROLE
// … SET reach every session of the people and programs that write.
#pragma once

namespace conveyor {

enum class CaptureErrorPolicy { fail, mark };
enum class EpochPolicy { manual, automatic };

struct Settings {
  // Capture and log
  int buffer_size;           // kB: captured keys that a transaction holds in memory before it writes them
  int on_capture_error;      // CaptureErrorPolicy
  int max_log_size;          // MB, -1: no bound
  int segment_size;          // MB: a segment of this size is due for emptying; one that cannot be makes the ring grow
  int segment_transactions;  // power of two: transactions in a row that share a segment

  // Windows and documents
  int window_memory;       // kB: keys that a window coalesces in memory
  int fetch_lock_timeout;  // ms that reading waits for a lock, 0: for ever

  // Agents and epochs
  int lease_timeout;  // ms without a heartbeat until a delivery may be taken over
  int orphan_time;    // ms for which requests of a sender that is gone may still be applied
  int confirm_epoch;  // EpochPolicy

  // Tests
  char* failpoint;

  // Internal: our own DDL is being run, which our event triggers need not look at
  bool installing;
};

extern Settings settings;

void define_settings();

}  // namespace conveyor
