// Sending: fence → a place in flight and the rate's leave → the target; and waiting for what comes back.
#include <algorithm>
#include <utility>

#include "postgres/error.hpp"
#include "run/failpoint.hpp"
#include "run/parcel.hpp"
#include "run/shipment.hpp"

namespace conveyor {

namespace {

using namespace std::chrono_literals;

// A target may forget a delete after index.gc_deletes; a document that is older than that must not be sent any more.
// Ours is an hour, a server's default a minute: half of each for what is sent for the first time and what is sent
// again.
constexpr Duration oldest_first_send = 30min;
constexpr Duration oldest_resend = 30s;

}  // namespace

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

// One place among the delivery's requests under way, and the rate's leave.
bool Shipment::may_launch(std::size_t documents) {
  const Limits limits = lane_.limits();
  const Time now = Clock::now();
  std::lock_guard lock(lane_.exchange->mutex);
  Precedence& precedence = lane_.exchange->precedence;
  if (errand_ == Errand::request && !precedence.request_may_go(now)) return false;
  if (lane_.exchange->in_flight >= limits.in_flight) blocked_at_ = lane_.exchange->in_flight;
  if (lane_.exchange->in_flight >= limits.in_flight || lane_.take_rate(documents, now) > Duration::zero()) {
    if (errand_ == Errand::live) precedence.live_waits(now);
    return false;
  }
  if (errand_ == Errand::live)
    precedence.live_went();
  else
    precedence.request_went(now);
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
    if (!result.answered) parcel->versions->lost(parcel->least, Clock::now());
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
  blocked_at_ = 0;
  for (std::size_t n = waiting_.size(); n > 0; --n) {
    auto parcel = std::move(waiting_.front());
    waiting_.pop_front();
    if (now - parcel->read_at > (parcel->attempts > 0 ? oldest_resend : oldest_first_send))
      read_again(*parcel);
    else if (parcel->not_before <= now && may_launch(parcel->body->items.size()))
      launch(std::move(parcel));
    else
      waiting_.push_back(std::move(parcel));
  }
}

void Shipment::wait(Duration most) {
  std::unique_lock lock(lane_.exchange->mutex);
  lane_.exchange->changed.wait_for(
      lock, lane_.stop, most, [&] { return !inbox_->arrivals.empty() || lane_.exchange->in_flight < blocked_at_; });
  lock.unlock();
  check_stop();
}

// Bodies that were never sent and could be now.
std::size_t Shipment::waiting_to_go() const {
  return static_cast<std::size_t>(
      std::count_if(waiting_.begin(), waiting_.end(), [](const auto& parcel) { return parcel->attempts == 0; }));
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

}  // namespace conveyor
