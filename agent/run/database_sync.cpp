// What the control connection asks for: agent_sync(), agent_poll(), and what becomes of the deliveries that they name.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>

#include "decide/json.hpp"
#include "decide/log_text.hpp"
#include "postgres/delivery_store.hpp"
#include "run/database.hpp"
#include "run/json.hpp"

namespace conveyor {

namespace {

using namespace std::chrono_literals;

constexpr Duration between_repairs = 10s;

const Statement sync_call{"agent_sync", "SELECT conveyor.agent_sync($1, $2::jsonb)"};
const Statement poll_call{"agent_poll", "SELECT conveyor.agent_poll($1)"};
const Statement renew_lease_call{"renew_lease", "SELECT conveyor.renew_lease($1, $2::bigint)"};

}  // namespace

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
    json_object_set_new(entry, "last_error",
                        r.last_error.empty() ? json_null() : storable_text(r.last_error).release());
    json_object_set_new(entry, "documents_per_second", json_real(held.rate));
    json_object_set_new(entry, "retries", json_integer(r.retries - held.retries_told));
    held.retries_telling = r.retries;
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
  {
    std::lock_guard lock(mutex_);
    for (auto& [delivery, held] : held_) held.retries_told = held.retries_telling;
  }
  const Json answer = parse_json(rows.get(0).value_or("{}"));
  const std::chrono::milliseconds orphan_time(
      integer_member(json_object_get(answer.get(), "settings"), "orphan_time_ms", 900'000));
  std::vector<std::string> present;
  std::size_t i;
  const json_t* object;
  json_array_foreach(json_object_get(answer.get(), "deliveries"), i, object) {
    try {
      DeliverySpec spec = parse_delivery(object);
      spec.orphan_time = orphan_time;
      present.push_back(spec.delivery);
      take(std::move(spec));
    } catch (const std::exception& error) {
      spdlog::error("event=error database={} delivery={} message={}", log_text(name_),
                    log_text(string_member(object, "delivery")), log_text(error.what()));
    }
  }
  json_array_foreach(json_object_get(answer.get(), "removals"), i, object) removals_.begin(object, origin_);
  std::vector<std::unique_ptr<Runner>> gone;
  {
    std::lock_guard lock(mutex_);
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
  spdlog::info("event=lease delivery={} lease={} state={}", log_text(spec.delivery), spec.lease, spec.state);
  Held held;
  held.state = spec.state;
  const std::string delivery = spec.delivery, target = spec.target;
  const std::int64_t lease = spec.lease;
  const std::string origin = origin_ + "/" + spec.known_as;
  held.runner = std::make_unique<Runner>(
      std::move(spec),
      [&](std::stop_token stop) { return std::make_unique<PostgresStore>(pool_, delivery, lease, target, stop); },
      *place.value, origin);
  std::lock_guard lock(mutex_);
  refused_.erase(delivery);
  held_.emplace(delivery, std::move(held));
}

// The target's own description is wrong or incomplete here: a missing file, an URL that is none.
void Database::refuse(const DeliverySpec& spec, const Failure& failure) {
  std::lock_guard lock(mutex_);
  std::string& known = refused_[spec.delivery];
  if (known != failure.reason)
    spdlog::error("event=target_refused delivery={} target={} reason={}", log_text(spec.delivery),
                  log_text(spec.target), log_text(failure.reason));
  known = failure.reason;
}

// Its threads may take a while to notice; the heartbeat must not wait for them.
void Database::retire(std::unique_ptr<Runner> runner) {
  runner->stop();
  spdlog::info("event=released delivery={} lease={}", log_text(runner->delivery()), runner->lease());
  std::erase_if(retired_, [](std::future<void>& f) { return f.wait_for(0s) == std::future_status::ready; });
  retired_.push_back(std::async(std::launch::async, [gone = std::move(runner)]() mutable { gone.reset(); }));
}

// A lease that was lost although agent_sync() has named it twice since: nobody else has it, and nobody works on it.
void Database::renew_leases(Connection& control) {
  std::vector<std::pair<std::string, std::int64_t>> lost;
  {
    std::lock_guard lock(mutex_);
    for (auto& [delivery, held] : held_) {
      if (held.lost_syncs < 2 || Clock::now() - held.renewed_at < between_repairs) continue;
      held.renewed_at = Clock::now();
      lost.emplace_back(delivery, held.runner->lease());
    }
  }
  for (const auto& [delivery, lease] : lost) {
    try {
      control.query(renew_lease_call, {delivery, std::to_string(lease)});
      spdlog::info("event=renew_lease delivery={} lease={}", log_text(delivery), lease);
    } catch (const DatabaseError& error) {
      if (error.trouble() != Trouble::lease_lost) throw;
    }
  }
}

bool Database::poll(Connection& control) {
  const Time from = Clock::now();
  {
    // Whoever drains looks for the next window by itself.
    std::lock_guard lock(mutex_);
    if (deadline_) return false;
    const auto drains = [](const auto& entry) { return entry.second.runner->draining(); };
    if (!held_.empty() && std::all_of(held_.begin(), held_.end(), drains)) {
      interval_.busy();
      return false;
    }
  }
  const Rows rows = control.query(poll_call, {identity_.name});
  std::lock_guard lock(mutex_);
  bool found = false, free = false;
  for (int row = 0; row < rows.size(); ++row) {
    const std::string delivery = rows.get(row).value_or("");
    const auto held = held_.find(delivery);
    if (held == held_.end())
      free = free || !refused_.contains(delivery);
    else if (held->second.runner->changes(from))
      found = true;
  }
  if (found) interval_.next(true);
  return free;
}

DatabaseStatus Database::status() const {
  std::lock_guard lock(mutex_);
  DatabaseStatus status;
  status.name = name_;
  status.connected = connected_;
  status.since_sync =
      synced_at_ == Time{} ? std::numeric_limits<double>::infinity() : seconds(Clock::now() - synced_at_);
  status.problem = problem_;
  for (const auto& [delivery, held] : held_) {
    status.deliveries.push_back(held.runner->report());
    status.states.push_back(held.state);
  }
  return status;
}

}  // namespace conveyor
