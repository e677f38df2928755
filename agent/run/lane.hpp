// What all pieces of work of one delivery share under one lease: where documents come from and go to, what may be used
// for it, and what people and /metrics are told.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>

#include "decide/precedence.hpp"
#include "decide/token_bucket.hpp"
#include "run/budget.hpp"
#include "run/fencer.hpp"
#include "run/spec.hpp"
#include "run/store.hpp"
#include "run/versions.hpp"
#include "target/target.hpp"

namespace conveyor {

// What may change while work goes on.
struct Limits {
  std::size_t batch_bytes = 5u << 20;
  int in_flight = 4;
  int page_keys = 1000;             // keys in one fetch
  std::size_t most_items = 10'000;  // documents in one body
  Duration retry_delay = std::chrono::milliseconds(100), max_retry_delay = std::chrono::minutes(1);
  int max_attempts = 10;      // of a document that fails alone, for reasons that might pass
  bool rated = false;         // no more than so many documents a second
  bool dead_letters = false;  // the delivery has some: say which keys were delivered since
};

// Answers arrive on the target's thread and wake whoever waits for them. Shared with the requests under way, which may
// outlive the lane.
struct Exchange {
  std::mutex mutex;
  std::condition_variable_any changed;
  int in_flight = 0;
  Precedence precedence;
};

// On whose behalf something is sent: a change that was made, or a request (backfill, re-check, resync) that can wait.
enum class Errand { live, request };

// Since the lease began. Retries are reported from here, so that they show while nothing can be checkpointed.
struct Progress {
  std::atomic<std::int64_t> sent{0}, deleted{0}, superseded{0}, retries{0}, dead{0}, windows{0};
};

class Lane {
 public:
  // `start`: the cursor that the lease began with, and the version of a read in that snapshot.
  Lane(std::string name, Store& source, Target& place, ByteBudget& bytes, std::stop_token end, std::string start,
       std::uint64_t start_version)
      : delivery(std::move(name)),
        store(source),
        target(place),
        budget(bytes),
        stop(std::move(end)),
        versions(std::make_shared<Versions>(start_version)),
        exchange(std::make_shared<Exchange>()),
        fencer(source),
        cursor_(std::move(start)) {}

  const std::string delivery;
  Store& store;
  Target& target;
  ByteBudget& budget;
  const std::stop_token stop;
  const std::shared_ptr<Versions> versions;
  const std::shared_ptr<Exchange> exchange;
  Fencer fencer;
  Progress progress;
  // No new work: what is in flight is settled, what is not complete is left to whoever comes next.
  std::atomic<bool> winding_down{false};

  void configure(const DeliverySpec& spec, Time now);
  Limits limits() const;
  Destination destination() const;
  void set_destination(Destination prepared);

  std::string cursor() const;
  void advance(const std::string& until, const Checkpoint& checkpoint);

  // How long the delivery's rate asks to wait; zero: `documents` are taken.
  Duration take_rate(std::size_t documents, Time now);

  // Why work is slow or stands still, for people; empty: it is not.
  void set_waiting(std::string reason);
  std::string throttle() const;
  // What stands in the way of one kind of work, until it succeeds again (empty).
  void set_error(const std::string& doing, std::string error);
  std::string last_error() const;

 private:
  mutable std::mutex mutex_;
  Limits limits_;
  Destination destination_;
  TokenBucket bucket_;
  bool rated_ = false;  // the rate made somebody wait of late
  Time rated_at_{};
  std::string waiting_;
  std::map<std::string, std::string> errors_;  // by kind of work
  std::string cursor_;
};

// The target said that nothing of this delivery can succeed until a person acts.
class Held : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The target did not do what it was asked for, and may do so later.
class TargetTrouble : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The target has taken nothing for long while something was being read: the reading was given up.
class TargetStalled : public std::runtime_error {
 public:
  TargetStalled() : std::runtime_error("the target takes nothing") {}
};

// The lane winds down: the piece of work was left incomplete, nothing of it is in flight.
class LeftIncomplete : public std::runtime_error {
 public:
  LeftIncomplete() : std::runtime_error("left incomplete") {}
};

}  // namespace conveyor
