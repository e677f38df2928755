#include "follow/follower.hpp"

#include "failpoint.hpp"
#include "follow/pace.hpp"
#include "follow/slice_size.hpp"
#include "follow/window.hpp"
#include "migrate/attempt.hpp"
#include "migrate/backoff.hpp"
#include "migrate/batch.hpp"
#include "migrate/failure.hpp"
#include "migrate/lock.hpp"
#include "migrate/settle.hpp"

extern "C" {
#include "portability/instr_time.h"
}

namespace conveyor::follow {

namespace {

constexpr long kHeld = 1000;  // ms until a throttle is asked again

enum class Next { slice, nothing, wait, leave };

struct Look {
  Next next;
  bool copying;
  long wait;  // ms
};

struct Following {
  migrate::Session& session;
  int job;
  Pace pace;
  SliceSize size;
  int failures;      // in a row
  bool held;         // by a throttle, as far as people are told
  TimestampTz free;  // when it was last found that nothing holds it; 0: it was not
};

Next next_of(const char* verdict) {
  if (verdict == nullptr || strcmp(verdict, "leave") == 0) return Next::leave;
  if (strcmp(verdict, "wait") == 0) return Next::wait;
  return strcmp(verdict, "slice") == 0 ? Next::slice : Next::nothing;
}

Look look(int job) {
  migrate::Parameters parameters;
  migrate::Row row = migrate::ask("SELECT * FROM conveyor.follow_next($1)", parameters.integer(job));
  return {next_of(row.string(1)), row.boolean(2), static_cast<long>(row.bigint(3))};
}

// Have the throttles been asked within the last second, and let it go?
bool is_free(const Following* following) {
  return following->free != 0 && !TimestampDifferenceExceeds(following->free, GetCurrentTimestamp(), kHeld);
}

// Asks the throttles, and tells people what they say.
bool is_held(Following* following) {
  migrate::Parameters parameters;
  following->held = !migrate::ask("SELECT conveyor.follow_throttle($1)", parameters.integer(following->job)).is_null(1);
  following->free = following->held ? 0 : GetCurrentTimestamp();
  return following->held;
}

double milliseconds_since(instr_time began) {
  instr_time now;
  INSTR_TIME_SET_CURRENT(now);
  INSTR_TIME_SUBTRACT(now, began);
  return INSTR_TIME_GET_MILLISEC(now);
}

// What might pass is tried again, later and with fewer keys; anything else ends the job.
long put_off(Following* following, const migrate::Job* job, ErrorData* error) {
  if (migrate::classify(unpack_sql_state(error->sqlerrcode)) != migrate::Failure::transient) ReThrowError(error);
  following->failures++;
  following->size.failed(job->size);
  migrate::Parameters parameters;
  migrate::tell("SELECT conveyor.follow_put_off($1, $2)",
                parameters.integer(following->job).string(migrate::error_text(error)));
  return migrate::backoff(following->failures, job->retry_delay, job->max_retry_delay);
}

// Applies a slice; returns how long to rest behind it.
long slice(Following* following, bool copying) {
  const migrate::Job* job = migrate::read_job(following->job);
  if (job == nullptr) return 0;
  int most = following->size.next(job->size);
  bool last_time = most == 1 && following->failures + 1 >= job->max_attempts;
  Slice done = {};
  instr_time began = {};
  ErrorData* error = migrate::attempt(following->session, [&] {
    // Not within lock_timeout: batches that are under way may take longer, and do end.
    migrate::lock_window(following->job, true);
    migrate::set_batch_settings(job);
    INSTR_TIME_SET_CURRENT(began);
    done = apply_slice(following->job, most, last_time);
  });
  if (error != nullptr) return put_off(following, job, error);
  following->failures = 0;
  double took = milliseconds_since(began);
  following->size.took(done.keys, took, job->size);
  return following->pace.after_slice(copying, done.more, static_cast<long>(took));
}

// One look and what follows from it. Returns how long to rest; -1: it is over.
long round(Following* following) {
  Look now = look(following->job);
  switch (now.next) {
    case Next::leave:
      return -1;
    case Next::wait:
      return now.wait;
    case Next::slice:
      if (is_free(following)) return slice(following, now.copying);
      // What people are told is committed before the slice waits for the window lock: they could not pause it else.
      return is_held(following) ? kHeld : 0;
    case Next::nothing:
      break;
  }
  if (following->held) is_held(following);  // what people are told must go
  return following->pace.after_nothing();
}

}  // namespace

bool is_followed(migrate::Session& session, int job) {
  session.begin();
  bool followed = look(job).next != Next::leave;
  session.commit();
  return followed;
}

void follow(migrate::Session& session, int job) {
  MemoryContext caller = CurrentMemoryContext;
  MemoryContext memory = AllocSetContextCreate(session.memory(), "pg_conveyor follower", ALLOCSET_DEFAULT_SIZES);
  Following following = {session, job, {}, {}, 0, true, 0};  // held: an earlier one may have said so
  for (;;) {
    MemoryContextSwitchTo(memory);
    MemoryContextReset(memory);
    CHECK_FOR_INTERRUPTS();
    session.begin();
    long rest = round(&following);
    failpoint("follow_commit");
    session.commit();
    if (rest < 0) break;
    if (rest > 0) session.wait(rest);
  }
  MemoryContextSwitchTo(caller);
  MemoryContextDelete(memory);
}

}  // namespace conveyor::follow
