#include "run/runner.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "decide/log_text.hpp"
#include "run/failpoint.hpp"
#include "run/json.hpp"

namespace conveyor {

namespace {

using namespace std::chrono_literals;

bool is_filling(const std::string& index) {
  return !index.empty() && boolean_member(parse_json(index).get(), "filling");
}

}  // namespace

Runner::Runner(DeliverySpec spec, const MakeStore& make_store, std::shared_ptr<SharedTarget> place, std::string origin)
    : lease_(spec.lease),
      origin_(std::move(origin)),
      place_(std::move(place)),
      store_(make_store(stop_.get_token())),
      lane_(std::make_unique<Lane>(spec.delivery, *store_, *place_->target, place_->budget, stop_.get_token(),
                                   spec.cursor, version_of(spec.cursor, spec.epoch))),
      index_(spec.index),
      filling_index_(is_filling(spec.index)),
      // What came before we held the lease may be waiting: look once.
      changed_(true) {
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
  lane_->configure(spec, Clock::now());
  store_->set_fetch_timeout(spec.fetch_timeout);
  std::lock_guard lock(mutex_);
  spec_ = std::move(spec);
  exhausted_.clear();
  if (!prepared_) {
    index_ = spec_.index;
    filling_index_ = is_filling(index_);
  }
  lane_->winding_down = shutting_down_ || !spec_.may_work();
  workers_.remove_if([](const Worker& worker) { return worker.over.load(); });
  start_workers_locked();
  wake_.notify_all();
}

bool Runner::changes(Time polled_at) {
  std::lock_guard lock(mutex_);
  if (found_ || draining_ || polled_at <= moved_at_) return false;
  changed_ = found_ = true;
  wake_.notify_all();
  return true;
}

bool Runner::draining() const {
  std::lock_guard lock(mutex_);
  return draining_;
}

DeliveryReport Runner::report() const {
  const Progress& p = lane_->progress;
  return {lane_->delivery, lane_->throttle(), lane_->last_error(),  p.sent, p.deleted, p.superseded, p.retries,
          p.dead,          p.windows,         place_->budget.used()};
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

// A request without an answer may undo deletes of this lease, and a claim without one nobody works on, until the lease
// is over: only then does the database hand them out again.
bool Runner::renewal_due_locked() const {
  return claim_lost_ || lane_->versions->lost_for(std::min<Duration>(1min, spec_.orphan_time / 2), Clock::now());
}

bool Runner::has_work_locked() const {
  if (shutting_down_ || !spec_.may_work()) return false;
  // What workers of a destination that went missing still record, they record before it is made anew.
  if (!prepared_ || renewal_due_locked()) return working_ == 0;
  return changed_ || (filling_index_ && !spec_.filling()) || rebuild_due_locked();
}

void Runner::run() {
  Backoff backoff = new_backoff();
  const std::stop_token stopped = stop_.get_token();
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      draining_ = false;
      if (!wake_.wait(lock, stopped, [&] { return has_work_locked(); }) || stopped.stop_requested()) return;
      draining_ = true;
    }
    try {
      prepare();
      finish_fill();
      drain();
      rebuild_step();
      renew_lease();
      backoff.reset();
    } catch (...) {
      trouble("window", backoff);
    }
  }
}

// Makes sure of the destination: once for the lease, and again when the delivery was held.
void Runner::prepare() {
  Destination destination;
  std::string stored;
  bool fill;
  {
    std::lock_guard lock(mutex_);
    if (prepared_) return;
    fill = spec_.about_to_fill();
    destination = {spec_.delivery, spec_.destination, {}, spec_.options, spec_.columns, origin_};
    destination.known_as = spec_.known_as;
    destination.planned = spec_.rebuild.index;
    destination.other = spec_.rebuild.other;
    destination.named = spec_.rebuild.named;
    stored = index_;
  }
  const IndexState state = value_of(lane_->target.prepare(destination, stored, fill));
  failpoint("after_prepare");
  if (state != stored) {
    if (!destination.planned.empty()) failpoint("rebuild_index_made");
    store_->store_index(state);
    spdlog::info("event=prepared delivery={} index={}", log_text(lane_->delivery), log_text(destination.index));
  }
  lane_->set_destination(destination);
  lane_->set_error("hold", {});
  index_became(state);
  std::lock_guard lock(mutex_);
  prepared_ = true;
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
    if (!filling_index_ || spec_.filling()) return;
    stored = index_;
  }
  failpoint("before_finish_fill");
  const IndexState state = value_of(lane_->target.finish_fill(lane_->destination(), stored));
  store_->store_index(state);
  index_became(state);
  spdlog::info("event=filled delivery={}", log_text(lane_->delivery));
}

// One window. Where it brought something the next is looked at as soon as what else is due has been done: writers who
// never rest must not keep it waiting.
void Runner::drain() {
  bool move_anyway;
  int fetchers;
  {
    std::lock_guard lock(mutex_);
    if (!spec_.may_work() || shutting_down_ || renewal_due_locked() || !std::exchange(changed_, false)) return;
    // A poll that saw something means that the log has rows beyond the cursor; even if they touch no document of ours,
    // they must not be found again and again.
    move_anyway = std::exchange(found_, false);
    fetchers = std::max(1, spec_.job_lists - working_);
  }
  const Time from = Clock::now();
  Drained drained;
  try {
    drained = drain_window(*lane_, fetchers, move_anyway);
  } catch (...) {
    std::lock_guard lock(mutex_);
    changed_ = true;
    found_ = found_ || move_anyway;
    throw;
  }
  if (drained.stale) return lease_ended();
  lane_->set_error("window", {});
  std::lock_guard lock(mutex_);
  moved_at_ = Clock::now();
  if (drained.keys == 0) return;
  changed_ = true;
  spdlog::debug("event=window delivery={} keys={} ms={}", log_text(lane_->delivery), drained.keys,
                std::chrono::duration_cast<std::chrono::milliseconds>(moved_at_ - from).count());
}

// Between two pieces of work, so that none of them is lost.
void Runner::renew_lease() {
  {
    std::lock_guard lock(mutex_);
    if (!renewal_due_locked() || working_ > 0 || !spec_.may_work()) return;
  }
  spdlog::info("event=renew_lease delivery={} lease={}", log_text(lane_->delivery), lease_);
  store_->renew_lease();
  lease_ended();
}

// The next agent_sync() brings the new one.
void Runner::lease_ended() {
  lost_ = true;
  stop();
}

}  // namespace conveyor
