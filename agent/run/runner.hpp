// Runs one delivery under one lease: a thread that prepares the destination and drains windows, and others while
// requests (backfill, re-check, resync) are open: as many of them read as the delivery has job lists, and beside each
// one may wait for the answers to the range that it has read. The lease's end is the runner's end.
//
// update(), changes(), report() and the stopping calls may come from any thread.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <set>
#include <thread>

#include "decide/backoff.hpp"
#include "run/lane.hpp"
#include "run/shared_target.hpp"
#include "run/work.hpp"

namespace conveyor {

// For agent_sync(), /metrics and logs.
struct DeliveryReport {
  std::string delivery, throttle, last_error;
  std::int64_t sent = 0, deleted = 0, superseded = 0, retries = 0, dead = 0, windows = 0;
  std::size_t bytes_in_memory = 0;
};

class Runner {
 public:
  using MakeStore = std::function<std::unique_ptr<Store>(std::stop_token)>;

  // `origin` names database and delivery to the target.
  Runner(DeliverySpec spec, const MakeStore& make_store, std::shared_ptr<SharedTarget> place, std::string origin);
  ~Runner();

  std::int64_t lease() const { return lease_; }
  const std::string& delivery() const { return lane_->delivery; }
  const std::shared_ptr<SharedTarget>& place() const { return place_; }
  Store& store() { return *store_; }

  // What the database says now.
  void update(DeliverySpec spec);
  // A poll that began at `polled_at` found changes. True when this was news.
  bool changes(Time polled_at);
  bool draining() const;
  DeliveryReport report() const;

  // No new work; what is under way is brought to its end.
  void wind_down();
  // Nothing is under way any more.
  bool quiet() const;
  // The lease is lost, or time is up: everything is dropped, nothing recorded.
  void stop();
  bool lease_lost() const { return lost_; }

 private:
  struct Job {
    enum class Kind { fill, sweep, keys, orphans } kind = Kind::fill;
    Request request;
    std::optional<Range> range;
  };
  struct Worker {
    std::jthread thread;
    std::atomic<bool> over{false};
  };
  // A worker's leave to read.
  class Turn {
   public:
    explicit Turn(Runner& runner) : runner_(&runner) { runner.take_turn(); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() { runner_->give_turn(); }

   private:
    Runner* runner_;
  };

  void run();
  bool has_work_locked() const;
  bool renewal_due_locked() const;
  void prepare();
  void finish_fill();
  void drain();
  void renew_lease();
  void lease_ended();
  void index_became(const std::string& index);

  // runner_rebuild.cpp
  bool rebuild_due_locked() const;
  void rebuild_step();
  void turn(const Turning& turning, const std::string& own, const std::string& other);

  // runner_requests.cpp
  void start_workers_locked();
  std::optional<Job> pick_locked(int others);
  bool may_go_on_locked() const;
  bool may_go_on() const;
  void perform(Job& job);
  void take_turn();
  void give_turn();
  std::optional<Range> claim(std::int64_t request);
  void put_back(Job job);

  // runner_trouble.cpp
  static Backoff new_backoff();
  static IndexState value_of(Result<IndexState> result);
  // Deals with the exception that is in flight, which ended what was being done.
  void trouble(const char* doing, Backoff& backoff);
  void try_later(const char* doing, Backoff& backoff, const std::string& reason);
  void hold(const std::string& reason);
  void rest(Duration duration);

  const std::int64_t lease_;
  const std::string origin_;
  std::stop_source stop_;
  std::shared_ptr<SharedTarget> place_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Lane> lane_;

  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  DeliverySpec spec_;
  std::string index_;
  bool prepared_ = false, filling_index_ = false, claim_lost_ = false;
  bool changed_ = false;  // there may be something in the log
  bool found_ = false;    // a poll saw that there is
  bool draining_ = false, shutting_down_ = false;
  std::atomic<bool> lost_{false};
  Time moved_at_{};    // when the last window ended
  Time rebuild_at_{};  // when the rebuild is looked at next
  // Requests: with nothing to hand out until the next update(); being worked on by one thread; swept.
  std::set<std::int64_t> exhausted_, taken_, over_;
  std::list<std::pair<std::int64_t, Range>> left_;  // ranges of ours that came to nothing, to be done again
  bool orphans_taken_ = false;
  int working_ = 0, reading_ = 0;  // workers; those of them that have a turn
  std::list<Worker> workers_;
  std::jthread thread_;
};

}  // namespace conveyor
