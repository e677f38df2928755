#include "run/runner.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "run/failpoint.hpp"
#include "run/json.hpp"

namespace conveyor {

namespace {

using namespace std::chrono_literals;

// A cursor that stands still keeps the log from being emptied: where nothing concerns the delivery for this long, it is
// moved all the same if the database has been busy meanwhile.
constexpr Duration longest_stand = 5min;
constexpr std::uint64_t leave_transactions = 10'000;

Backoff new_backoff() { return Backoff(200ms, 30s, static_cast<std::uint64_t>(Clock::now().time_since_epoch().count())); }

bool is_filling(const std::string& index) {
  return !index.empty() && boolean_member(parse_json(index).get(), "filling");
}

}  // namespace

Runner::Runner(DeliverySpec spec, const MakeStore& make_store, std::shared_ptr<SharedTarget> place, std::string origin,
               Duration orphan_time)
    : lease_(spec.lease),
      origin_(std::move(origin)),
      place_(std::move(place)),
      store_(make_store(stop_.get_token())),
      lane_(std::make_unique<Lane>(spec.delivery, *store_, *place_->target, place_->budget, stop_.get_token(),
                                   orphan_time, spec.cursor, version_of(spec.cursor, spec.epoch))),
      index_(spec.index),
      filling_index_(is_filling(spec.index)),
      // What came before we held the lease may be waiting: look once.
      changed_(true),
      moved_at_(Clock::now()) {
  update(std::move(spec));
  thread_ = std::jthread([this] { run(); });
}

Runner::~Runner() {
  stop();
  if (thread_.joinable()) thread_.join();
  for (Worker& worker : workers_)
    if (worker.thread.joinable()) worker.thread.join();
}

void Runner::update(DeliverySpec spec) {
  lane_->versions->expire(Clock::now());
  lane_->configure(spec, Clock::now());
  std::lock_guard lock(mutex_);
  spec_ = std::move(spec);
  exhausted_.clear();
  lane_->winding_down = shutting_down_ || !spec_.may_work();
  if (Clock::now() - moved_at_ > longest_stand) changed_ = true;
  workers_.remove_if([](const Worker& worker) { return worker.over.load(); });
  start_workers_locked();
  wake_.notify_all();
}

bool Runner::changes(Time polled_at) {
  std::lock_guard lock(mutex_);
  if (changed_ || draining_ || polled_at <= moved_at_) return false;
  changed_ = true;
  wake_.notify_all();
  return true;
}

bool Runner::draining() const {
  std::lock_guard lock(mutex_);
  return draining_;
}

DeliveryReport Runner::report() const {
  const Progress& p = lane_->progress;
  return {lane_->delivery, lane_->throttle(), lane_->last_error(), p.sent,   p.deleted, p.superseded,
          p.retries,       p.dead,            p.windows,           place_->budget.used()};
}

void Runner::wind_down() {
  std::lock_guard lock(mutex_);
  shutting_down_ = true;
  lane_->winding_down = true;
  wake_.notify_all();
}

bool Runner::quiet() const {
  std::lock_guard lock(mutex_);
  if (draining_ || working_ > 0) return false;
  std::lock_guard in_flight(lane_->exchange->mutex);
  return lane_->exchange->in_flight == 0;
}

void Runner::stop() {
  stop_.request_stop();
  wake_.notify_all();
  lane_->exchange->changed.notify_all();
}

bool Runner::has_work_locked() const {
  if (shutting_down_ || !spec_.may_work()) return false;
  const bool fill_open = spec_.filling("backfill");
  return !prepared_ || (fill_open && !prepared_to_fill_) || (filling_index_ && !fill_open) || changed_;
}

void Runner::run() {
  Backoff backoff = new_backoff();
  const std::stop_token stopped = stop_.get_token();
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      draining_ = false;
      if (!wake_.wait(lock, stopped, [&] { return has_work_locked(); })) return;
      draining_ = true;
    }
    try {
      prepare();
      finish_fill();
      drain();
      backoff.reset();
    } catch (...) {
      trouble("drain", backoff);
    }
  }
}

// Makes sure of the destination, once for the lease and again when a fill begins.
void Runner::prepare() {
  Destination destination;
  std::string stored;
  bool fill;
  {
    std::lock_guard lock(mutex_);
    fill = spec_.filling("backfill");
    if (prepared_ && (!fill || prepared_to_fill_)) return;
    destination = {spec_.delivery, spec_.destination, {}, spec_.options, spec_.columns, origin_};
    stored = index_;
  }
  const auto state = lane_->target.prepare(destination, stored, fill);
  if (!state) {
    if (state.failure.outcome == Outcome::hold) throw Held(state.failure.reason);
    throw DatabaseError("08000", state.failure.reason);
  }
  failpoint("after_prepare");
  if (*state.value != stored) {
    store_->store_index(*state.value);
    spdlog::info("event=prepared delivery={} index={}", lane_->delivery, destination.index);
  }
  lane_->set_destination(destination);
  index_became(*state.value);
  std::lock_guard lock(mutex_);
  prepared_ = true;
  prepared_to_fill_ = fill;
  start_workers_locked();
}

void Runner::index_became(const std::string& index) {
  std::lock_guard lock(mutex_);
  index_ = index;
  filling_index_ = is_filling(index);
}

// Also after a crash between a fill's last range and this.
void Runner::finish_fill() {
  std::string stored;
  {
    std::lock_guard lock(mutex_);
    if (!filling_index_ || spec_.filling("backfill")) return;
    stored = index_;
  }
  failpoint("before_finish_fill");
  const auto state = lane_->target.finish_fill(lane_->destination(), stored);
  if (!state) {
    if (state.failure.outcome == Outcome::hold) throw Held(state.failure.reason);
    throw DatabaseError("08000", state.failure.reason);
  }
  store_->store_index(*state.value);
  index_became(*state.value);
  std::lock_guard lock(mutex_);
  prepared_to_fill_ = false;
  spdlog::info("event=filled delivery={}", lane_->delivery);
}

void Runner::drain() {
  for (;;) {
    std::uint64_t leave = leave_transactions;
    {
      std::lock_guard lock(mutex_);
      if (!spec_.may_work() || shutting_down_) return;
      // A poll that saw something means that the log has rows for us; even if they touch no document, they must not be
      // found again and again.
      if (std::exchange(changed_, false) && Clock::now() - moved_at_ <= longest_stand) leave = 0;
    }
    const Time from = Clock::now();
    Drained drained;
    try {
      drained = drain_window(*lane_, leave);
    } catch (...) {
      std::lock_guard lock(mutex_);
      changed_ = true;
      throw;
    }
    if (drained.stale) {
      // The lease went with it; the next sync brings a new one.
      lost_ = true;
      stop();
      return;
    }
    std::lock_guard lock(mutex_);
    moved_at_ = Clock::now();
    if (drained.keys == 0) return;
    spdlog::debug("event=window delivery={} keys={} ms={}", lane_->delivery, drained.keys,
                  std::chrono::duration_cast<std::chrono::milliseconds>(moved_at_ - from).count());
  }
}

void Runner::start_workers_locked() {
  if (!prepared_ || shutting_down_ || stop_.stop_requested()) return;
  while (working_ < spec_.job_lists) {
    auto job = pick_locked();
    if (!job) return;
    ++working_;
    Worker& worker = workers_.emplace_back();
    worker.thread = std::jthread([this, &worker, first = std::move(*job)]() mutable {
      Backoff backoff = new_backoff();
      std::optional<Job> next = std::move(first);
      while (next && !stop_.stop_requested()) {
        try {
          perform(*next);
          backoff.reset();
        } catch (...) {
          put_back(*next);
          trouble("request", backoff);
        }
        std::lock_guard lock(mutex_);
        next = pick_locked();
      }
      if (next) put_back(*next);
      std::lock_guard lock(mutex_);
      --working_;
      worker.over = true;
    });
  }
}

std::optional<Runner::Job> Runner::pick_locked() {
  if (!prepared_ || shutting_down_ || !spec_.may_work()) return std::nullopt;
  for (const Request& request : spec_.requests) {
    if (!request.open() || over_.contains(request.id)) continue;
    if (request.kind == "keys") {
      if (!exhausted_.contains(request.id) && taken_.insert(request.id).second) return Job{Job::Kind::keys, request, std::nullopt};
    } else if (request.phase == "sweep") {
      if (taken_.insert(request.id).second) return Job{Job::Kind::sweep, request, std::nullopt};
    } else {
      const auto ours = std::find_if(left_.begin(), left_.end(), [&](const auto& l) { return l.first == request.id; });
      if (ours != left_.end()) {
        Job job{Job::Kind::fill, request, ours->second};
        left_.erase(ours);
        return job;
      }
      if (!exhausted_.contains(request.id)) return Job{Job::Kind::fill, request, std::nullopt};
    }
  }
  if (spec_.orphans && !std::exchange(orphans_taken_, true)) return Job{Job::Kind::orphans, {}, std::nullopt};
  return std::nullopt;
}

void Runner::perform(Job& job) {
  const std::int64_t id = job.request.id;
  switch (job.kind) {
    case Job::Kind::fill: {
      if (!job.range) job.range = claim(id);
      if (!job.range) {
        std::lock_guard lock(mutex_);
        exhausted_.insert(id);
        return;
      }
      const std::string phase = fill_range(*lane_, id, *job.range);
      std::lock_guard lock(mutex_);
      for (Request& request : spec_.requests)
        if (request.id == id) request.phase = phase;
      if (phase != "fill") wake_.notify_all();
      return;
    }
    case Job::Kind::sweep:
      sweep(*lane_, job.request);
      break;
    case Job::Kind::keys: {
      std::int64_t after = 0;
      while (!lane_->winding_down && deliver_requested(*lane_, job.request, after)) {
      }
      if (lane_->winding_down) throw LeftIncomplete();
      std::lock_guard lock(mutex_);
      taken_.erase(id);
      exhausted_.insert(id);
      return;
    }
    case Job::Kind::orphans: {
      while (!lane_->winding_down && settle_orphans(*lane_)) {
      }
      std::lock_guard lock(mutex_);
      spec_.orphans = orphans_taken_ = false;
      return;
    }
  }
  std::lock_guard lock(mutex_);
  over_.insert(id);
}

// A claim whose answer got lost may have been made, under this lease: nobody would work on that range. A new lease sees it.
std::optional<Range> Runner::claim(std::int64_t request) {
  try {
    return store_->range_claim(request);
  } catch (const DatabaseError& error) {
    if (error.connection_lost()) renewal_due_ = true;
    throw;
  }
}

void Runner::put_back(Job job) {
  std::lock_guard lock(mutex_);
  if (job.kind == Job::Kind::orphans)
    orphans_taken_ = false;
  else if (job.kind != Job::Kind::fill)
    taken_.erase(job.request.id);
  else if (job.range)
    left_.emplace_back(job.request.id, *job.range);
}

void Runner::trouble(const char* doing, Backoff& backoff) {
  try {
    throw;
  } catch (const Stopped&) {
  } catch (const LeftIncomplete&) {
    rest(50ms);
  } catch (const Held& held) {
    hold(held.what());
  } catch (const DatabaseError& error) {
    switch (error.trouble()) {
      case Trouble::lease_lost:
        spdlog::warn("event=lease_lost delivery={} lease={}", lane_->delivery, lease_);
        lost_ = true;
        stop();
        return;
      case Trouble::transient:
        break;
      case Trouble::timeout:
      case Trouble::protocol:
      case Trouble::data:
      case Trouble::definition:
        if (error.trouble() != Trouble::timeout) {
          hold(error.text() + (error.hint.empty() ? "" : " (hint: " + error.hint + ")"));
          return;
        }
    }
    const Duration wait = backoff.next();
    lane_->set_error(error.text());
    lane_->set_waiting(fmt::format("waits after an error: {}", error.text()));
    spdlog::warn("event=error delivery={} doing={} failures={} message=\"{}\"", lane_->delivery, doing,
                 backoff.failures(), error.text());
    rest(wait);
    lane_->set_waiting({});
  } catch (const std::exception& error) {
    const Duration wait = backoff.next();
    lane_->set_error(error.what());
    spdlog::error("event=error delivery={} doing={} message=\"{}\"", lane_->delivery, doing, error.what());
    rest(wait);
  }
}

void Runner::hold(const std::string& reason) {
  spdlog::error("event=held delivery={} reason=\"{}\"", lane_->delivery, reason);
  lane_->set_error(reason);
  try {
    store_->hold(reason);
  } catch (const Stopped&) {
    return;
  } catch (const DatabaseError& error) {
    if (error.trouble() == Trouble::lease_lost) {
      lost_ = true;
      stop();
      return;
    }
    // The next attempt of the work itself says it again.
    spdlog::warn("event=error delivery={} doing=hold message=\"{}\"", lane_->delivery, error.text());
    rest(1s);
    return;
  }
  std::lock_guard lock(mutex_);
  spec_.state = "waiting";
  lane_->winding_down = true;
}

void Runner::rest(Duration duration) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, stop_.get_token(), duration, [&] { return shutting_down_; });
}

}  // namespace conveyor
