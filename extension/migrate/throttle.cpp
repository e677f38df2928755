#include "migrate/throttle.hpp"

namespace conveyor::migrate {

namespace {

constexpr long kHolds = 1000;  // ms

int asked_for = 0;       // job
TimestampTz free_since;  // when it was last found that nothing holds it

}  // namespace

const char* throttle_of(const Job* job) {
  TimestampTz now = GetCurrentTimestamp();
  if (asked_for == job->id && !TimestampDifferenceExceeds(free_since, now, kHolds)) return nullptr;
  Parameters parameters;
  const char* reason = ask("SELECT conveyor.job_throttle($1)", parameters.integer(job->id)).string(1);
  asked_for = reason == nullptr ? job->id : 0;
  free_since = now;
  return reason;
}

}  // namespace conveyor::migrate
