#include "follow/follower.hpp"

#include "failpoint.hpp"
#include "follow/pace.hpp"
#include "follow/window.hpp"
#include "migrate/batch.hpp"

extern "C" {
#include "portability/instr_time.h"
}

namespace conveyor::follow {

namespace {

constexpr int kMostKeys = 10000;  // given to the job's statement at a time

enum class Next { window, nothing, leave };

struct Look {
  Next next;
  bool copying;
};

Look look(int job) {
  migrate::Parameters parameters;
  migrate::Row row = migrate::ask("SELECT * FROM conveyor.follow_next($1)", parameters.integer(job));
  const char* verdict = row.string(1);
  if (verdict == nullptr || strcmp(verdict, "leave") == 0) return {Next::leave, false};
  return {strcmp(verdict, "window") == 0 ? Next::window : Next::nothing, row.boolean(2)};
}

// Milliseconds that it took.
long window(int id) {
  instr_time began, ended;
  INSTR_TIME_SET_CURRENT(began);
  migrate::Job* job = migrate::read_job(id);
  if (job == nullptr) return 0;
  migrate::set_batch_settings(job);
  apply_window(id, Min(kMostKeys, job->size.maximum));
  INSTR_TIME_SET_CURRENT(ended);
  INSTR_TIME_SUBTRACT(ended, began);
  return static_cast<long>(INSTR_TIME_GET_MILLISEC(ended));
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
  MemoryContext round = AllocSetContextCreate(session.memory(), "pg_conveyor follower", ALLOCSET_DEFAULT_SIZES);
  Pace pace;
  for (;;) {
    MemoryContextSwitchTo(round);
    MemoryContextReset(round);
    CHECK_FOR_INTERRUPTS();
    session.begin();
    Look now = look(job);
    long took = now.next == Next::window ? window(job) : 0;
    failpoint("follow_commit");
    session.commit();
    if (now.next == Next::leave) break;
    session.wait(now.next == Next::window ? pace.after_window(now.copying, took) : pace.after_nothing());
  }
  MemoryContextSwitchTo(caller);
  MemoryContextDelete(round);
}

}  // namespace conveyor::follow
