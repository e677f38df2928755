// What becomes of each document of an answer: counted, sent again, read again, or a dead letter.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "decide/log_text.hpp"
#include "decide/outcome.hpp"
#include "run/parcel.hpp"
#include "run/shipment.hpp"

namespace conveyor {

namespace {

using namespace std::chrono_literals;

// What is sent again is this old at most (shipment_send.cpp).
constexpr Duration oldest_resend = 30s;
// A body that has to wait longer than this is dropped and read again, so that its memory is free meanwhile.
constexpr Duration longest_keep = 5s;

}  // namespace

void Shipment::handle(Arrival arrival) {
  const Parcel& parcel = *arrival.parcel;
  const Body& body = *parcel.body;
  const SendResult& result = arrival.result;
  const bool itemized = result.answered && result.items.size() == body.items.size();
  const Outcome whole = result.answered ? result.whole : Outcome::retry;
  const bool note_keys = lane_.limits().dead_letters;
  std::vector<std::size_t> retry;
  std::size_t passed = 0;
  bool shrink = false;
  std::string reason = result.reason;

  for (std::size_t i = 0; i < body.items.size(); ++i) {
    const Outcome outcome = itemized ? result.items[i].outcome : whole;
    const auto explain = [&] {
      return itemized ? std::pair{result.items[i].type, result.items[i].reason} : std::pair{result.type, result.reason};
    };
    switch (outcome) {
      case Outcome::done:
        ++passed;
        if (const auto failed = lone_failures_.find(body.key(i)); failed != lone_failures_.end())
          lone_failures_.erase(failed);
        ++(body.items[i].remove ? counts_.deleted : counts_.sent);
        ++(body.items[i].remove ? lane_.progress.deleted : lane_.progress.sent);
        if (note_keys) revived_.emplace_back(body.key(i));
        break;
      case Outcome::superseded:
        ++passed;
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
        ++passed;
        auto [type, words] = explain();
        reject({std::string(body.key(i)), type, words, parcel.attempts});
        break;
      }
    }
  }
  // Those that fail where most others pass have themselves to blame, sooner or later; a target that is down, or whose
  // shards are, blames nobody.
  const bool others_pass = passed >= retry.size();
  std::erase_if(retry, [&](std::size_t i) {
    if (!itemized || result.items[i].outcome != Outcome::retry || speaks_of_the_place(result.items[i].type))
      return false;
    if (!others_pass && !lone_failures_.contains(body.key(i))) return false;
    if (!failed_too_often(body.key(i))) return false;
    reject({std::string(body.key(i)), result.items[i].type, result.items[i].reason, lane_.limits().max_attempts});
    return true;
  });
  if (retry.empty()) {
    lane_.set_waiting({});
    return;
  }
  lane_.progress.retries += static_cast<std::int64_t>(retry.size());
  resend(parcel, retry, shrink, reason);
}

// Those items of the parcel once more, later; in two halves when they were too much at once.
void Shipment::resend(const Parcel& parcel, const std::vector<std::size_t>& items, bool split,
                      const std::string& reason) {
  Backoff backoff = parcel.backoff;
  const Duration delay = split ? Duration::zero() : backoff.next();
  const Time not_before = Clock::now() + delay;
  spdlog::debug("event=retry delivery={} documents={} attempt={} delay_ms={} reason={}", log_text(lane_.delivery),
                items.size(), parcel.attempts, std::chrono::duration_cast<std::chrono::milliseconds>(delay).count(),
                log_text(reason));
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

bool Shipment::failed_too_often(std::string_view key) {
  auto failures = lone_failures_.find(key);
  if (failures == lone_failures_.end()) failures = lone_failures_.emplace(key, 0).first;
  if (++failures->second < lane_.limits().max_attempts) return false;
  lone_failures_.erase(failures);
  return true;
}

void Shipment::read_again(const Parcel& parcel) {
  for (std::size_t i = 0; i < parcel.body->items.size(); ++i) again_.emplace_back(parcel.body->key(i));
}

}  // namespace conveyor
