// How long a range that failed waits before it is tried again. Pure.
#pragma once

#include <cstdint>

namespace conveyor::migrate {

// Milliseconds before attempt `failures` + 1: `base` times 1, 1, 2, 3, 5, 8 …, `longest` at most. `failures` counts
// from 1.
constexpr std::int64_t backoff(int failures, std::int64_t base, std::int64_t longest) {
  std::int64_t before = 0, now = 1;
  for (int i = 1; i < failures && now * base < longest; i++) {
    std::int64_t next = before + now;
    before = now;
    now = next;
  }
  return now * base < longest ? now * base : longest;
}

}  // namespace conveyor::migrate
