#include "run/database.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "decide/json.hpp"
#include "postgres/arrays.hpp"
#include "postgres/delivery_store.hpp"
#include "run/json.hpp"
#include "run/protocol.hpp"

namespace conveyor {

namespace {

using namespace std::chrono_literals;

constexpr Duration sync_every = 500ms;
constexpr Duration tick_every = 1s;
constexpr Duration shortest_poll = 2ms;
constexpr Duration longest_poll = 100ms;
constexpr Duration version_mismatch_pause = 30s;
// Renewing leases interrupts the work of all deliveries; what makes it necessary is rare and can wait.
constexpr Duration between_renewals = 5min;
constexpr Duration between_repairs = 10s;
constexpr std::string_view not_registered = "CV004";

const Statement start_call{"agent_start",
                           "SELECT conveyor.agent_start($1, $2, $3::int, $4, $5::int, $6::text[])"};
const Statement sync_call{"agent_sync", "SELECT conveyor.agent_sync($1, $2::jsonb)"};
const Statement poll_call{"agent_poll", "SELECT conveyor.agent_poll($1)"};
const Statement stop_call{"agent_stop", "SELECT conveyor.agent_stop($1)"};
const Statement removal_done_call{"removal_done", "SELECT conveyor.removal_done($1, $2::bigint, $3)"};
// Where a destination was made from. A physical copy shares it; that is what epochs are for.
const Statement origin_call{"origin", "SELECT system_identifier || '/' || current_database() FROM pg_control_system()"};
const Statement tick_call{"tick", "SELECT conveyor.tick()"};

Backoff new_backoff() { return Backoff(200ms, 5s, static_cast<std::uint64_t>(Clock::now().time_since_epoch().count())); }

}  // namespace

Database::Database(std::string conninfo, int connections, const AgentIdentity& identity, TargetRegistry& targets)
    : conninfo_(std::move(conninfo)),
      identity_(identity),
      targets_(targets),
      pool_(conninfo_, "conveyor " + identity.name, connections),
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
      if (!introduced_) introduce(control);
      {
        std::lock_guard lock(mutex_);
        connected_ = true;
        problem_.clear();
      }
      tried_ = true;
      backoff.reset();
      spdlog::info("event=connected database={}", name_);
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
      spdlog::warn("event=no_connection database={} retry_ms={} message=\"{}\"", name_,
                   std::chrono::duration_cast<std::chrono::milliseconds>(pause).count(), problem_);
      pool_.drop_idle();
      sleep(pause);
    } catch (const std::exception& error) {
      tried_ = true;
      spdlog::error("event=error database={} message=\"{}\"", name_, error.what());
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
  const Rows rows = control.query(
      start_call, {identity_.name, identity_.host, std::to_string(identity_.pid), identity_.version,
                   std::to_string(protocol), text_array(identity_.tags)});
  const Json answer = parse_json(rows.get(0).value_or("{}"));
  const std::string origin = control.query(origin_call).get(0).value_or("");
  std::lock_guard lock(mutex_);
  name_ = string_member(answer.get(), "database", "?");
  origin_ = origin;
  introduced_ = true;
  introduced_at_ = Clock::now();
}

void Database::serve(Connection& control) {
  Time next_sync = Clock::now(), next_tick = next_sync, next_poll = next_sync;
  for (;;) {
    const Time now = Clock::now();
    if (now >= next_sync) {
      sync(control);
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
      spdlog::info("event=left database={}", name_);
      return;
    }
    if (renewal_due()) {
      spdlog::info("event=renew_leases database={}", name_);
      introduce(control);
      next_sync = now;
      continue;
    }
    finish_removals(control);
    if (now >= next_tick) {
      control.query(tick_call);
      next_tick = now + tick_every;
    }
    if (now >= next_poll) {
      poll(control);
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

bool Database::renewal_due() {
  std::lock_guard lock(mutex_);
  if (deadline_) return false;
  const Duration since = Clock::now() - introduced_at_;
  return std::any_of(held_.begin(), held_.end(), [&](const auto& entry) {
    // Lost, but agent_sync() has given it to us twice since: nobody else has it, and nobody works on it.
    if (entry.second.lost_syncs >= 2) return since > between_repairs;
    return entry.second.runner->renewal_due() && since > between_renewals;
  });
}

std::string Database::report_text() {
  const Time now = Clock::now();
  const double passed = std::max(0.001, seconds(now - std::exchange(reported_at_, now)));
  const Json report(json_object()), deliveries(json_object());
  double all = 0;
  for (auto& [delivery, held] : held_) {
    const DeliveryReport r = held.runner->report();
    const std::int64_t documents = r.sent + r.deleted;
    const double current = static_cast<double>(documents - std::exchange(held.sent_before, documents)) / passed;
    // About three seconds' worth: steady enough to read, quick enough to follow.
    held.rate += (current - held.rate) * std::min(1.0, passed / 3);
    if (held.rate < 0.05) held.rate = 0;
    all += held.rate;
    json_t* entry = json_object();
    json_object_set_new(entry, "throttle", r.throttle.empty() ? json_null() : storable_text(r.throttle).release());
    json_object_set_new(entry, "last_error", r.last_error.empty() ? json_null() : storable_text(r.last_error).release());
    json_object_set_new(entry, "documents_per_second", json_real(held.rate));
    json_object_set_new(deliveries.get(), delivery.c_str(), entry);
  }
  for (const auto& [delivery, reason] : refused_)
    json_object_set_new(deliveries.get(), delivery.c_str(),
                        json_pack("{s:o,s:o}", "throttle", storable_text(reason).release(), "last_error",
                                  storable_text(reason).release()));
  json_object_set(report.get(), "deliveries", deliveries.get());
  json_object_set_new(report.get(), "documents_per_second", json_real(all));
  return to_text(report.get());
}

void Database::sync(Connection& control) {
  std::string report;
  {
    std::lock_guard lock(mutex_);
    report = report_text();
  }
  const Rows rows = control.query(sync_call, {identity_.name, report});
  const Json answer = parse_json(rows.get(0).value_or("{}"));
  const json_t* settings = json_object_get(answer.get(), "settings");
  std::vector<std::string> present;
  std::size_t i;
  const json_t* object;
  json_array_foreach(json_object_get(answer.get(), "deliveries"), i, object) {
    try {
      DeliverySpec spec = parse_delivery(object);
      present.push_back(spec.delivery);
      take(std::move(spec));
    } catch (const std::exception& error) {
      spdlog::error("event=error database={} delivery={} message=\"{}\"", name_, string_member(object, "delivery"),
                    error.what());
    }
  }
  json_array_foreach(json_object_get(answer.get(), "removals"), i, object) remove_destination(object);
  std::vector<std::unique_ptr<Runner>> gone;
  {
    std::lock_guard lock(mutex_);
    orphan_time_ = std::chrono::milliseconds(integer_member(settings, "orphan_time_ms", 900'000));
    synced_at_ = Clock::now();
    for (auto it = held_.begin(); it != held_.end();) {
      if (std::find(present.begin(), present.end(), it->first) == present.end()) {
        gone.push_back(std::move(it->second.runner));
        it = held_.erase(it);
      } else {
        ++it;
      }
    }
    std::erase_if(refused_, [&](const auto& entry) {
      return std::find(present.begin(), present.end(), entry.first) == present.end();
    });
  }
  for (auto& runner : gone) retire(std::move(runner));
}

void Database::take(DeliverySpec spec) {
  std::unique_ptr<Runner> outdated;
  {
    std::lock_guard lock(mutex_);
    const auto found = held_.find(spec.delivery);
    if (found != held_.end()) {
      if (found->second.runner->lease() == spec.lease) {
        found->second.state = spec.state;
        if (found->second.runner->lease_lost()) {
          ++found->second.lost_syncs;
          return;
        }
        found->second.runner->update(std::move(spec));
        return;
      }
      outdated = std::move(found->second.runner);
      held_.erase(found);
    }
    if (deadline_) return;
  }
  if (outdated) retire(std::move(outdated));
  auto place = targets_.find(spec.kind, spec.target_options, spec.secret);
  if (!place) {
    refuse(spec, place.failure);
    return;
  }
  spdlog::info("event=lease delivery={} lease={} state={}", spec.delivery, spec.lease, spec.state);
  Held held;
  held.state = spec.state;
  const std::string delivery = spec.delivery, target = spec.target;
  const std::int64_t lease = spec.lease;
  held.runner = std::make_unique<Runner>(
      std::move(spec),
      [&](std::stop_token stop) { return std::make_unique<PostgresStore>(pool_, delivery, lease, target, stop); },
      *place.value, origin_ + "/" + delivery, orphan_time_);
  std::lock_guard lock(mutex_);
  refused_.erase(delivery);
  held_.emplace(delivery, std::move(held));
}

// The target's own description is wrong or incomplete here: a missing file, an URL that is none.
void Database::refuse(const DeliverySpec& spec, const Failure& failure) {
  std::lock_guard lock(mutex_);
  std::string& known = refused_[spec.delivery];
  if (known != failure.reason)
    spdlog::error("event=target_refused delivery={} target={} reason=\"{}\"", spec.delivery, spec.target,
                  failure.reason);
  known = failure.reason;
}

// Its threads may take a while to notice; the heartbeat must not wait for them.
void Database::retire(std::unique_ptr<Runner> runner) {
  runner->stop();
  spdlog::info("event=released delivery={} lease={}", runner->delivery(), runner->lease());
  std::erase_if(retired_, [](std::future<void>& f) { return f.wait_for(0s) == std::future_status::ready; });
  retired_.push_back(std::async(std::launch::async, [gone = std::move(runner)]() mutable { gone.reset(); }));
}

// A destination of a dropped delivery. Talks to the target, so it has a thread of its own.
void Database::remove_destination(const json_t* removal) {
  const std::int64_t id = integer_member(removal, "id");
  if (removals_.contains(id)) return;
  const std::string kind = string_member(removal, "kind"), options = text_member(removal, "target_options"),
                    secret = string_member(removal, "secret"), index = text_member(removal, "index");
  Destination destination;
  destination.delivery = string_member(removal, "delivery");
  destination.name = string_member(removal, "destination");
  destination.origin = origin_ + "/" + destination.delivery;
  if (const Json state = parse_json(index)) destination.index = string_member(state.get(), "name");
  removals_.emplace(id, std::async(std::launch::async, [=, this]() -> std::optional<std::string> {
    const auto place = targets_.find(kind, options, secret);
    if (!place) return place.failure.reason;
    const auto removed = (*place.value)->target->remove_destination(destination, index);
    if (!removed) return removed.failure.reason;
    return std::nullopt;
  }));
}

void Database::finish_removals(Connection& control) {
  for (auto it = removals_.begin(); it != removals_.end();) {
    if (it->second.wait_for(0s) != std::future_status::ready) {
      ++it;
      continue;
    }
    const std::optional<std::string> problem = it->second.get();
    control.query(removal_done_call, {identity_.name, std::to_string(it->first), problem});
    spdlog::info("event=removal id={} result=\"{}\"", it->first, problem.value_or("gone"));
    it = removals_.erase(it);
  }
}

void Database::poll(Connection& control) {
  const Time from = Clock::now();
  {
    // Whoever drains looks for the next window by itself.
    std::lock_guard lock(mutex_);
    if (deadline_ || std::all_of(held_.begin(), held_.end(),
                                 [](const auto& entry) { return entry.second.runner->draining(); }))
      return;
  }
  const Rows rows = control.query(poll_call, {identity_.name});
  std::lock_guard lock(mutex_);
  bool found = false;
  for (int row = 0; row < rows.size(); ++row) {
    const auto held = held_.find(rows.get(row).value_or(""));
    if (held != held_.end() && held->second.runner->changes(from)) found = true;
  }
  if (found) interval_.next(true);
}

DatabaseStatus Database::status() const {
  std::lock_guard lock(mutex_);
  DatabaseStatus status;
  status.name = name_;
  status.connected = connected_;
  status.since_sync = synced_at_ == Time{} ? 1e9 : seconds(Clock::now() - synced_at_);
  status.problem = problem_;
  for (const auto& [delivery, held] : held_) {
    status.deliveries.push_back(held.runner->report());
    status.states.push_back(held.state);
  }
  return status;
}

}  // namespace conveyor
