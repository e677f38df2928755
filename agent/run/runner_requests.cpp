// Requests (backfill, re-check, resync) and orphans. Reading takes turns, as many at once as the delivery has job
// lists; a range that has been read is settled without one, so that the database works on the next meanwhile.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "run/runner.hpp"

namespace conveyor {

void Runner::start_workers_locked() {
  if (!prepared_ || shutting_down_ || stop_.stop_requested()) return;
  while (auto job = pick_locked(working_)) {
    ++working_;
    Worker& worker = workers_.emplace_back();
    worker.thread = std::jthread([this, &worker, first = std::move(*job)]() mutable {
      Backoff backoff = new_backoff();
      std::optional<Job> next = std::move(first);
      while (next && !stop_.stop_requested()) {
        try {
          perform(*next);
          lane_->set_error("request", {});
          backoff.reset();
        } catch (...) {
          put_back(*next);
          trouble("request", backoff);
        }
        std::lock_guard lock(mutex_);
        next = pick_locked(working_ - 1);
      }
      if (next) put_back(*next);
      std::lock_guard lock(mutex_);
      --working_;
      worker.over = true;
      wake_.notify_all();
    });
  }
}

// Something to do beside so many other workers.
std::optional<Runner::Job> Runner::pick_locked(int others) {
  if (!may_go_on_locked() || others >= 2 * spec_.job_lists) return std::nullopt;
  const bool only_ranges = others >= spec_.job_lists;
  for (const Request& request : spec_.requests) {
    if (!request.open() || over_.contains(request.id)) continue;
    if (only_ranges && (request.kind == "keys" || request.phase == "sweep")) continue;
    if (request.kind == "keys") {
      if (!exhausted_.contains(request.id) && taken_.insert(request.id).second)
        return Job{Job::Kind::keys, request, std::nullopt};
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
  if (spec_.orphans && !only_ranges && !std::exchange(orphans_taken_, true))
    return Job{Job::Kind::orphans, {}, std::nullopt};
  return std::nullopt;
}

bool Runner::may_go_on_locked() const {
  return prepared_ && !shutting_down_ && spec_.may_work() && !renewal_due_locked();
}

bool Runner::may_go_on() const {
  std::lock_guard lock(mutex_);
  return may_go_on_locked();
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
      std::optional<Turn> turn(std::in_place, *this);
      const std::string phase = job.request.kind == "compare"
                                    ? compare_range(*lane_, id, *job.range)
                                    : fill_range(*lane_, id, *job.range, [&] { turn.reset(); });
      std::lock_guard lock(mutex_);
      for (Request& request : spec_.requests)
        if (request.id == id) request.phase = phase;
      if (phase != "fill") wake_.notify_all();
      return;
    }
    case Job::Kind::sweep: {
      const Turn turn(*this);
      sweep(*lane_, job.request);
      break;
    }
    case Job::Kind::keys: {
      const Turn turn(*this);
      std::int64_t after = 0;
      while (deliver_requested(*lane_, job.request, after))
        if (!may_go_on()) throw LeftIncomplete();
      std::lock_guard lock(mutex_);
      taken_.erase(id);
      exhausted_.insert(id);
      return;
    }
    case Job::Kind::orphans: {
      const Turn turn(*this);
      while (may_go_on() && settle_orphans(*lane_)) {
      }
      std::lock_guard lock(mutex_);
      spec_.orphans = orphans_taken_ = false;
      return;
    }
  }
  std::lock_guard lock(mutex_);
  over_.insert(id);
}

void Runner::take_turn() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, stop_.get_token(), [&] { return reading_ < spec_.job_lists || !may_go_on_locked(); });
  if (stop_.stop_requested()) throw Stopped();
  if (!may_go_on_locked()) throw LeftIncomplete();
  ++reading_;
}

void Runner::give_turn() {
  std::lock_guard lock(mutex_);
  --reading_;
  wake_.notify_all();
}

// A claim whose answer got lost may have been made.
std::optional<Range> Runner::claim(std::int64_t request) {
  try {
    return store_->range_claim(request);
  } catch (const DatabaseError& error) {
    if (error.connection_lost()) {
      std::lock_guard lock(mutex_);
      claim_lost_ = true;
    }
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

}  // namespace conveyor
