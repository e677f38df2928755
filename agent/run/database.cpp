#include "run/database.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "decide/json.hpp"
#include "decide/log_text.hpp"
#include "postgres/arrays.hpp"
#include "postgres/conninfo.hpp"
#include "run/json.hpp"
#include "run/protocol.hpp"

namespace conveyor {

namespace {

using namespace std::chrono_literals;

constexpr Duration sync_every = 500ms;
// Where a poll has seen a delivery to take; another agent may be the one that is due to take it.
constexpr Duration sync_at_once_every = 100ms;
constexpr Duration tick_every = 1s;
constexpr Duration shortest_poll = 2ms;
constexpr Duration longest_poll = 100ms;
constexpr Duration version_mismatch_pause = 30s;
constexpr std::string_view not_registered = "CV004";

const Statement start_call{"agent_start", "SELECT conveyor.agent_start($1, $2, $3::int, $4, $5::int, $6::text[])"};
const Statement stop_call{"agent_stop", "SELECT conveyor.agent_stop($1)"};
// Where a destination was made from. A physical copy shares it; that is what epochs are for.
const Statement origin_call{"origin", "SELECT system_identifier || '/' || current_database() FROM pg_control_system()"};
const Statement tick_call{"tick", "SELECT conveyor.tick()"};

Backoff new_backoff() {
  return Backoff(200ms, 5s, static_cast<std::uint64_t>(Clock::now().time_since_epoch().count()));
}

}  // namespace

Database::Database(std::string conninfo, int connections, const AgentIdentity& identity, TargetRegistry& targets)
    : conninfo_(std::move(conninfo)),
      identity_(identity),
      targets_(targets),
      pool_(conninfo_, "conveyor " + identity.name, connections),
      removals_(identity.name, targets),
      name_(database_of(conninfo_)),
      interval_(shortest_poll, longest_poll) {}

Database::~Database() {
  stop_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Database::start() {
  thread_ = std::jthread([this] { run(); });
}

void Database::wind_down(Time deadline) {
  std::lock_guard lock(mutex_);
  deadline_ = deadline;
  for (auto& [delivery, held] : held_) held.runner->wind_down();
  wake_.notify_all();
}

void Database::sleep(Duration duration) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, stop_.get_token(), duration, [&] { return deadline_.has_value(); });
}

void Database::run() {
  Backoff backoff = new_backoff();
  while (!stop_.stop_requested()) {
    try {
      Connection control(conninfo_, "conveyor " + identity_.name, stop_.get_token());
      reached_ = true;
      // After a short cut of this connection alone the leases go on; agent_sync() says so if they do not.
      if (!introduced_) try {
          introduce(control);
        } catch (DatabaseError& error) {
          if (error.hint.empty()) error.hint = first_remedy(error.sqlstate, "conveyor_agent", control.user());
          throw;
        }
      {
        std::lock_guard lock(mutex_);
        connected_ = true;
        problem_.clear();
      }
      tried_ = true;
      backoff.reset();
      spdlog::info("event=connected database={}", log_text(name_));
      serve(control);
      break;
    } catch (const Stopped&) {
      break;
    } catch (const DatabaseError& error) {
      Duration pause = backoff.next();
      if (error.sqlstate == not_registered) {
        introduced_ = false;
        continue;
      }
      if (error.trouble() == Trouble::protocol) pause = version_mismatch_pause;
      {
        std::lock_guard lock(mutex_);
        connected_ = false;
        problem_ = error.text() + (error.hint.empty() ? "" : " (hint: " + error.hint + ")");
      }
      tried_ = true;
      spdlog::warn("event=no_connection database={} retry_ms={} message={}", log_text(name_),
                   std::chrono::duration_cast<std::chrono::milliseconds>(pause).count(), log_text(problem_));
      pool_.drop_idle();
      sleep(pause);
    } catch (const std::exception& error) {
      tried_ = true;
      spdlog::error("event=error database={} message={}", log_text(name_), log_text(error.what()));
      sleep(backoff.next());
    }
    if (wound_down()) break;
  }
  std::map<std::string, Held> held;
  {
    std::lock_guard lock(mutex_);
    held.swap(held_);
    connected_ = false;
  }
  for (auto& [delivery, gone] : held) gone.runner->stop();
  held.clear();
  retired_.clear();
  finished_ = true;
}

// Ends the leases that this agent had before.
void Database::introduce(Connection& control) {
  const Rows rows =
      control.query(start_call, {identity_.name, identity_.host, std::to_string(identity_.pid), identity_.version,
                                 std::to_string(protocol), text_array(identity_.tags)});
  const Json answer = parse_json(rows.get(0).value_or("{}"));
  const std::string origin = control.query(origin_call).get(0).value_or("");
  std::lock_guard lock(mutex_);
  name_ = string_member(answer.get(), "database", "?");
  origin_ = origin;
  introduced_ = true;
}

void Database::serve(Connection& control) {
  Time next_sync = Clock::now(), next_tick = next_sync, next_poll = next_sync, synced{};
  for (;;) {
    const Time now = Clock::now();
    if (now >= next_sync) {
      sync(control);
      synced = now;
      next_sync = now + sync_every;
    }
    if (wound_down()) {
      std::map<std::string, Held> held;
      {
        std::lock_guard lock(mutex_);
        held.swap(held_);
      }
      // Work that did not come to its end is dropped before the leases are free for others.
      for (auto& [delivery, gone] : held) gone.runner->stop();
      held.clear();
      control.query(stop_call, {identity_.name}, 2s);
      spdlog::info("event=left database={}", log_text(name_));
      return;
    }
    renew_leases(control);
    removals_.finish(control);
    if (now >= next_tick) {
      control.query(tick_call);
      next_tick = now + tick_every;
    }
    if (now >= next_poll) {
      if (poll(control)) next_sync = std::min(next_sync, synced + sync_at_once_every);
      next_poll = Clock::now() + interval_.next(false);
    }
    sleep(std::max<Duration>(1ms, std::min({next_sync, next_tick, next_poll}) - Clock::now()));
  }
}

bool Database::wound_down() {
  std::lock_guard lock(mutex_);
  if (!deadline_) return false;
  return Clock::now() >= *deadline_ ||
         std::all_of(held_.begin(), held_.end(), [](const auto& entry) { return entry.second.runner->quiet(); });
}

}  // namespace conveyor
