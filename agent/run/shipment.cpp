#include "run/shipment.hpp"

#include <algorithm>
#include <utility>

#include "postgres/error.hpp"
#include "run/failpoint.hpp"
#include "run/parcel.hpp"

namespace conveyor {

namespace {

using namespace std::chrono_literals;

// A reading holds a session of the database, and a snapshot: when the target takes nothing for so long, it is given up.
constexpr Duration longest_stall = 10s;
constexpr std::size_t reservation_step = 64u << 10;
// What an action line takes beside key and document, at most.
constexpr std::size_t item_overhead = 160;
constexpr std::size_t reserved_at_once = 256u << 10;

}  // namespace

Shipment::Shipment(Lane& lane, Errand errand, const std::atomic<bool>* given_up)
    : lane_(lane), errand_(errand), given_up_(given_up), inbox_(std::make_shared<Inbox>()) {}

Shipment::~Shipment() {
  std::deque<Arrival> arrivals;
  std::lock_guard lock(lane_.exchange->mutex);
  arrivals.swap(inbox_->arrivals);
}

void Shipment::check_stop() {
  if (lane_.stop.stop_requested()) throw Stopped();
  if (given_up_ && *given_up_) throw LeftIncomplete();
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
    if (full ||
        (needed > filling_->reservation.bytes() && !filling_->reservation.grow(std::max(bytes, reservation_step))))
      dispatch();
  }
  if (filling_) return;
  // One body may wait for its turn while the next is filled, no more: memory is better used by others.
  for (const Time from = Clock::now(); waiting_to_go() > 0;) stall(from, 20ms);
  auto parcel = std::make_shared<Parcel>(lane_, version);
  for (const Time from = Clock::now(); !parcel->reservation.grow(bytes);) stall(from, 20ms);
  parcel->read_at = read_at_;
  parcel->body->wire.reserve(std::min(bytes, reserved_at_once));
  filling_ = std::move(parcel);
}

// The target takes nothing now, since `from`: deals with what comes back from it meanwhile.
void Shipment::stall(Time from, Duration most) {
  const Time begun = Clock::now();
  wait(most);
  handle_arrivals();
  send_waiting();
  stalled_ += Clock::now() - begun;
  if (lane_.winding_down) throw LeftIncomplete();
  if (Clock::now() - from > longest_stall) throw TargetStalled();
}

// The body is complete: off it goes, as soon as it may.
void Shipment::dispatch() {
  auto parcel = std::exchange(filling_, nullptr);
  if (!parcel || parcel->body->empty()) return;
  fence(*parcel);
  waiting_.push_back(std::move(parcel));
  send_waiting();
}

void Shipment::settle() {
  dispatch();
  for (;;) {
    handle_arrivals();
    send_waiting();
    if (under_way_ == 0 && waiting_.empty()) return;
    if (lane_.winding_down && under_way_ == 0) throw LeftIncomplete();
    Duration most = 100ms;
    for (const auto& parcel : waiting_) {
      // What is due already waits for a place in flight, which wakes us, or for the rate's leave.
      const Duration left = parcel->not_before - Clock::now();
      most = std::min<Duration>(most, left > Duration::zero() ? left : 20ms);
    }
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
