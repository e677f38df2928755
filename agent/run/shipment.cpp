#include "run/shipment.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "decide/outcome.hpp"
#include "postgres/error.hpp"
#include "run/failpoint.hpp"

namespace conveyor {

namespace {

using namespace std::chrono_literals;

// A target may forget a delete after index.gc_deletes; a document that is older than that must not be sent any more. Ours
// is an hour, a server's default a minute: half of each for what is sent for the first time and what is sent again.
constexpr Duration oldest_first_send = 30min;
constexpr Duration oldest_resend = 30s;
// A body that has to wait longer than this is dropped and read again, so that its memory is free meanwhile.
constexpr Duration longest_keep = 5s;
constexpr std::size_t reservation_step = 64u << 10;
// What an action line takes beside key and document, at most.
constexpr std::size_t item_overhead = 160;
constexpr std::size_t reserved_at_once = 256u << 10;

Backoff new_backoff(const Limits& limits, const void* seed) {
  return Backoff(limits.retry_delay, limits.max_retry_delay, reinterpret_cast<std::uintptr_t>(seed));
}

}  // namespace

struct Shipment::Parcel {
  Parcel(Lane& lane, std::uint64_t version)
      : versions(lane.versions), id(lane.versions->open(version)), reservation(lane.budget), least(version), backoff(new_backoff(lane.limits(), this)) {}
  Parcel(const Parcel&) = delete;
  Parcel& operator=(const Parcel&) = delete;
  ~Parcel() { versions->settle(id); }

  std::shared_ptr<Versions> versions;
  Versions::Id id;  // open as long as the parcel exists, and longer when a request of it got no answer
  Reservation reservation;
  std::shared_ptr<Body> body = std::make_shared<Body>();
  std::uint64_t least;  // the least version in it
  Time read_at{};       // when the oldest document in it was read
  int attempts = 0;
  Backoff backoff;
  Time not_before{};
};

struct Shipment::Arrival {
  std::shared_ptr<Parcel> parcel;
  SendResult result;
};

struct Shipment::Inbox {
  std::deque<Arrival> arrivals;  // under the exchange's mutex
};

Shipment::Shipment(Lane& lane) : lane_(lane), inbox_(std::make_shared<Inbox>()) {}

Shipment::~Shipment() {
  std::deque<Arrival> arrivals;
  std::lock_guard lock(lane_.exchange->mutex);
  arrivals.swap(inbox_->arrivals);
}

void Shipment::check_stop() {
  if (lane_.stop.stop_requested()) throw Stopped();
}

void Shipment::read(Answer& answer) {
  FrameReader frames;
  const Versions::Id reading = lane_.versions->begin_read();
  struct Settle {
    Versions& versions;
    Versions::Id id;
    ~Settle() { versions.settle(id); }
  } settle_at_end{*lane_.versions, reading};
  std::optional<Settle> snapshot;

  std::string_view frame;
  while (answer.next(frame)) {
    check_stop();
    frames.open(frame);
    for (Record record; frames.next(record);) {
      switch (record.kind) {
        case 'h':
          header(record);
          snapshot.emplace(*lane_.versions, lane_.versions->open(version_));
          break;
        case 'd':
          make_room(record.key.size() + record.text.size() + item_overhead, version_);
          lane_.target.append_document(*filling_->body, record.key, version_, record.text);
          ++records_;
          break;
        case 'm':
          make_room(2 * record.key.size() + item_overhead, version_);
          lane_.target.append_delete(*filling_->body, record.key, version_);
          ++records_;
          break;
        case 'x':
          reject({std::string(record.key), std::string(record.type), std::string(record.text), 1});
          ++records_;
          break;
        default:
          break;
      }
    }
    handle_arrivals();
    send_waiting();
    if (lane_.winding_down) throw LeftIncomplete();
  }
  if (!frames.complete()) throw std::runtime_error("the database's answer is not whole: " + frames.problem());
  failpoint("after_fetch");
}

void Shipment::header(const Record& record) {
  version_ = record.number;
  read_at_ = Clock::now();
  fenced_ = false;
}

void Shipment::reject(DeadLetter letter) {
  ++lane_.progress.dead;
  dead_.push_back(std::move(letter));
}

// Sees to it that `bytes` more fit into the body that is being filled.
void Shipment::make_room(std::size_t bytes, std::uint64_t version) {
  if (filling_) {
    const Limits limits = lane_.limits();
    const Body& body = *filling_->body;
    // A database whose versions fall back has been exchanged; the least version must hold for all that is in a body.
    const bool full = body.items.size() >= limits.most_items || body.wire.size() + bytes > limits.batch_bytes ||
                      version < filling_->least;
    const std::size_t needed = body.wire.size() + body.keys.size() + bytes;
    if (full || (needed > filling_->reservation.bytes() && !filling_->reservation.grow(std::max(bytes, reservation_step))))
      dispatch();
  }
  if (filling_) return;
  auto parcel = std::make_shared<Parcel>(lane_, version);
  const Time from = Clock::now();
  bool waited = false;
  while (!parcel->reservation.grow(bytes)) {
    waited = true;
    wait(20ms);
    handle_arrivals();
    send_waiting();
    if (lane_.winding_down) throw LeftIncomplete();
  }
  if (waited) stalled_ += Clock::now() - from;
  parcel->read_at = read_at_;
  parcel->body->wire.reserve(std::min(bytes, reserved_at_once));
  filling_ = std::move(parcel);
}

// The body is complete: off it goes, as soon as it may.
void Shipment::dispatch() {
  auto parcel = std::exchange(filling_, nullptr);
  if (!parcel || parcel->body->empty()) return;
  fence(*parcel);
  const Time from = Clock::now();
  bool waited = false;
  for (Duration rest; !may_launch(parcel->body->items.size(), rest);) {
    waited = true;
    wait(rest);
    handle_arrivals();
    send_waiting();
    if (lane_.winding_down) throw LeftIncomplete();
  }
  if (waited) stalled_ += Clock::now() - from;
  if (Clock::now() - parcel->read_at > oldest_first_send)
    read_again(*parcel);
  else
    launch(std::move(parcel));
}

void Shipment::fence(const Parcel& parcel) {
  std::vector<std::string> deletes;
  std::uint64_t newest = 0;
  for (std::size_t i = 0; i < parcel.body->items.size(); ++i) {
    if (!parcel.body->items[i].remove) continue;
    deletes.emplace_back(parcel.body->key(i));
    newest = std::max(newest, parcel.body->items[i].version);
  }
  if (fenced_ && deletes.empty()) return;
  lane_.fencer.fence(parcel.least, newest, std::move(deletes));
  fenced_ = true;
  failpoint("after_fence");
}

// One place among the delivery's requests under way, and the rate's leave. `wait`: when to ask again.
bool Shipment::may_launch(std::size_t documents, Duration& wait) {
  const Limits limits = lane_.limits();
  wait = 20ms;
  std::lock_guard lock(lane_.exchange->mutex);
  if (lane_.exchange->in_flight >= limits.in_flight) return false;
  const Duration rate = lane_.take_rate(documents, Clock::now());
  if (rate > Duration::zero()) {
    wait = std::min<Duration>(rate, 100ms);
    return false;
  }
  ++lane_.exchange->in_flight;
  return true;
}

// The place in flight is taken already.
void Shipment::launch(std::shared_ptr<Parcel> parcel) {
  ++parcel->attempts;
  ++under_way_;
  failpoint("before_send");
  // The versions are told of a lost answer here, on the target's thread: nobody may be left to deal with it.
  auto done = [parcel, exchange = lane_.exchange, inbox = std::weak_ptr<Inbox>(inbox_)](SendResult result) mutable {
    if (!result.answered) {
      const Versions::Id lost = parcel->versions->open(parcel->least);
      parcel->versions->unanswered(lost, Clock::now());
    }
    {
      std::lock_guard lock(exchange->mutex);
      --exchange->in_flight;
      if (const auto box = inbox.lock()) box->arrivals.push_back({std::move(parcel), std::move(result)});
    }
    exchange->changed.notify_all();
  };
  const std::shared_ptr<const Body> body = parcel->body;
  lane_.target.send(lane_.destination(), body, std::move(done));
  failpoint("after_send");
}

void Shipment::send_waiting() {
  const Time now = Clock::now();
  for (std::size_t n = waiting_.size(); n > 0; --n) {
    auto parcel = std::move(waiting_.front());
    waiting_.pop_front();
    Duration rest;
    if (now - parcel->read_at > oldest_resend)
      read_again(*parcel);
    else if (parcel->not_before <= now && may_launch(parcel->body->items.size(), rest))
      launch(std::move(parcel));
    else
      waiting_.push_back(std::move(parcel));
  }
}

void Shipment::wait(Duration most) {
  std::unique_lock lock(lane_.exchange->mutex);
  const int in_flight = lane_.exchange->in_flight;
  lane_.exchange->changed.wait_for(lock, lane_.stop, most, [&] {
    return !inbox_->arrivals.empty() || lane_.exchange->in_flight < in_flight;
  });
  lock.unlock();
  check_stop();
}

void Shipment::handle_arrivals() {
  for (;;) {
    Arrival arrival;
    {
      std::lock_guard lock(lane_.exchange->mutex);
      if (inbox_->arrivals.empty()) return;
      arrival = std::move(inbox_->arrivals.front());
      inbox_->arrivals.pop_front();
    }
    --under_way_;
    handle(std::move(arrival));
  }
}

void Shipment::handle(Arrival arrival) {
  const Parcel& parcel = *arrival.parcel;
  const Body& body = *parcel.body;
  const SendResult& result = arrival.result;
  const bool itemized = result.answered && result.items.size() == body.items.size();
  const Outcome whole = result.answered ? result.whole : Outcome::retry;
  const bool note_keys = lane_.limits().dead_letters;
  std::vector<std::size_t> retry;
  bool shrink = false;
  std::string reason = result.reason;

  for (std::size_t i = 0; i < body.items.size(); ++i) {
    const Outcome outcome = itemized ? result.items[i].outcome : whole;
    const auto explain = [&] {
      return itemized ? std::pair{result.items[i].type, result.items[i].reason} : std::pair{result.type, result.reason};
    };
    switch (outcome) {
      case Outcome::done:
        ++(body.items[i].remove ? counts_.deleted : counts_.sent);
        ++(body.items[i].remove ? lane_.progress.deleted : lane_.progress.sent);
        if (note_keys) revived_.emplace_back(body.key(i));
        break;
      case Outcome::superseded:
        ++counts_.superseded;
        ++lane_.progress.superseded;
        if (note_keys) revived_.emplace_back(body.key(i));
        break;
      case Outcome::retry:
      case Outcome::slow_down:
        if (itemized && reason.empty()) reason = result.items[i].reason;
        retry.push_back(i);
        break;
      case Outcome::shrink:
        if (body.items.size() == 1) {
          auto [type, words] = explain();
          reject({std::string(body.key(i)), type.empty() ? "too_large" : type, words, parcel.attempts});
          break;
        }
        shrink = true;
        retry.push_back(i);
        break;
      case Outcome::hold: {
        auto [type, words] = explain();
        throw Held(type.empty() ? words : type + ": " + words);
      }
      case Outcome::dead_letter: {
        auto [type, words] = explain();
        reject({std::string(body.key(i)), type, words, parcel.attempts});
        break;
      }
    }
  }
  // One that fails where the others pass has itself to blame, sooner or later; a target that is down blames nobody.
  const bool alone = itemized && retry.size() == 1 && !shrink && result.items[retry[0]].outcome == Outcome::retry &&
                     (body.items.size() > 1 || lone_failures_.contains(body.key(0)));
  if (alone && given_up(body.key(retry[0]))) {
    const ItemResult& item = result.items[retry[0]];
    reject({std::string(body.key(retry[0])), item.type, item.reason, lane_.limits().max_attempts});
    retry.clear();
  }
  if (retry.empty()) {
    lane_.set_waiting({});
    return;
  }
  counts_.retries += static_cast<std::int64_t>(retry.size());
  lane_.progress.retries += static_cast<std::int64_t>(retry.size());
  resend(parcel, retry, shrink, reason);
}

// Those items of the parcel once more, later; in two halves when they were too much at once.
void Shipment::resend(const Parcel& parcel, const std::vector<std::size_t>& items, bool split,
                      const std::string& reason) {
  Backoff backoff = parcel.backoff;
  const Duration delay = split ? Duration::zero() : backoff.next();
  const Time not_before = Clock::now() + delay;
  spdlog::debug("event=retry delivery={} documents={} attempt={} delay_ms={} reason=\"{}\"", lane_.delivery,
                items.size(), parcel.attempts, std::chrono::duration_cast<std::chrono::milliseconds>(delay).count(),
                reason);
  if (!split) lane_.set_waiting(fmt::format("target: {} documents to be sent again: {}", items.size(), reason));
  const std::size_t half = split ? (items.size() + 1) / 2 : items.size();
  for (std::size_t at = 0; at < items.size(); at += half) {
    auto next = std::make_shared<Parcel>(lane_, parcel.least);
    next->read_at = parcel.read_at;
    next->attempts = parcel.attempts;
    next->backoff = backoff;
    next->not_before = not_before;
    const std::size_t end = std::min(at + half, items.size());
    std::size_t bytes = 0;
    for (std::size_t i = at; i < end; ++i) bytes += parcel.body->items[items[i]].wire_size;
    // The copy lives beside the original for a moment. Without room for it, or for long, it is read again instead.
    if (not_before - parcel.read_at > oldest_resend || delay > longest_keep || !next->reservation.grow(bytes)) {
      for (std::size_t i = at; i < end; ++i) again_.emplace_back(parcel.body->key(items[i]));
      continue;
    }
    next->body->wire.reserve(bytes);
    for (std::size_t i = at; i < end; ++i) {
      const Body::Item& from = parcel.body->items[items[i]];
      const std::string_view key = parcel.body->key(items[i]);
      next->body->items.push_back(
          {from.version, next->body->wire.size(), from.wire_size, next->body->keys.size(), key.size(), from.remove});
      next->body->wire.append(parcel.body->wire, from.wire_at, from.wire_size);
      next->body->keys.append(key);
    }
    waiting_.push_back(std::move(next));
  }
}

bool Shipment::given_up(std::string_view key) {
  auto failures = lone_failures_.find(key);
  if (failures == lone_failures_.end()) failures = lone_failures_.emplace(key, 0).first;
  if (++failures->second < lane_.limits().max_attempts) return false;
  lone_failures_.erase(failures);
  return true;
}

void Shipment::read_again(const Parcel& parcel) {
  for (std::size_t i = 0; i < parcel.body->items.size(); ++i) again_.emplace_back(parcel.body->key(i));
}

void Shipment::settle() {
  dispatch();
  for (;;) {
    handle_arrivals();
    send_waiting();
    if (under_way_ == 0 && waiting_.empty()) return;
    if (lane_.winding_down && under_way_ == 0) throw LeftIncomplete();
    Duration most = 100ms;
    for (const auto& parcel : waiting_) most = std::clamp<Duration>(parcel->not_before - Clock::now(), 1ms, most);
    wait(most);
  }
}

std::vector<std::string> Shipment::take_again() { return std::exchange(again_, {}); }

Checkpoint Shipment::take_checkpoint() {
  Checkpoint checkpoint;
  checkpoint.settled_below = lane_.versions->settled_below();
  checkpoint.counts = std::exchange(counts_, {});
  checkpoint.dead = std::exchange(dead_, {});
  checkpoint.revived = std::exchange(revived_, {});
  return checkpoint;
}

}  // namespace conveyor
