// Named points at which a test may stop, delay or crash a session: SET conveyor.failpoint = 'log_flush=error'.
// One load and one branch where none is set.
#pragma once

#include "compat.hpp"
#include "settings.hpp"

namespace conveyor {

// May ereport. `name` is a word of the code: [a-z_]+.
void run_failpoint(const char* name);

inline void failpoint(const char* name) {
  if (unlikely(settings.failpoint != nullptr && settings.failpoint[0] != '\0')) run_failpoint(name);
}

// The setting's check hook: only known actions.
bool check_failpoint(char** value, void** extra, GucSource source);

}  // namespace conveyor
