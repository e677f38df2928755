#include "run/work.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "decide/log_text.hpp"
#include "run/failpoint.hpp"
#include "run/fetchers.hpp"

namespace conveyor {

namespace {

constexpr int pages_at_once = 8;

// Records what has been settled without moving the cursor.
void record(Lane& lane, Carrier& carrier) {
  carrier.settle();
  lane.advance({}, carrier.take_checkpoint());
}

// What becomes of a request with this range.
std::string finish_range(Lane& lane, std::int64_t request, const Range& range, std::int64_t keys,
                         const Checkpoint& checkpoint) {
  failpoint("before_range_finish");
  std::string phase = lane.store.range_finish(request, range.number, keys, checkpoint);
  failpoint("after_range_finish");
  return phase;
}

template <typename T>
T asked(Result<T> answer, const std::string& doing) {
  if (answer) return std::move(*answer.value);
  if (answer.failure.outcome == Outcome::hold) throw Held(answer.failure.reason);
  throw TargetTrouble("could not " + doing + ": " + answer.failure.reason);
}

void deliver_pages(Lane& lane, Carrier& carrier, const std::vector<std::string>& keys, const std::string& at_least) {
  const auto size = static_cast<std::size_t>(lane.limits().page_keys);
  for (std::size_t at = 0; at < keys.size(); at += size) {
    carrier.keys({keys.begin() + static_cast<std::ptrdiff_t>(at),
                  keys.begin() + static_cast<std::ptrdiff_t>(std::min(at + size, keys.size()))},
                 at_least);
    if (carrier.behind()) carrier.settle();
    if (carrier.checkpoint_due()) record(lane, carrier);
  }
}

std::vector<std::string> absent_of(Lane& lane, const std::vector<std::string>& keys, const std::string& at_least) {
  std::vector<std::string> absent;
  if (keys.empty()) return absent;
  const auto answer = lane.store.absent_keys(keys, at_least);
  read_keys(*answer, SIZE_MAX, [&](std::vector<std::string> page) { absent = std::move(page); });
  return absent;
}

// Those of the keys that the target does not have.
std::vector<std::string> lacking(Lane& lane, const std::vector<std::string>& keys) {
  const std::vector<bool> there = asked(lane.target.have_ids(lane.destination(), keys), "look for ids in the target");
  std::vector<std::string> lacking;
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (!there[i]) lacking.push_back(keys[i]);
  return lacking;
}

void take_away(std::vector<std::string>& keys, std::vector<std::string> others) {
  std::ranges::sort(others);
  std::erase_if(keys, [&](const std::string& key) { return std::ranges::binary_search(others, key); });
}

// Keys that the target lacks are delivered, and then looked for again. That one is still lacking is right where the
// view has it no longer, or the target refuses it. Writers may bring a row back in between, but not every time.
void deliver_lacking(Lane& lane, std::vector<std::string> keys, const std::string& at_least) {
  constexpr int most_times = 5;
  for (int times = 1; !keys.empty(); ++times) {
    if (times > most_times)
      throw Held(
          fmt::format("the target took {} documents and does not have them, such as \"{}\": does the index drop them "
                      "(option index.settings, a pipeline)?",
                      keys.size(), keys.front()));
    if (lane.winding_down) throw LeftIncomplete();
    Carrier carrier(lane, Errand::request);
    deliver_pages(lane, carrier, keys, at_least);
    carrier.settle();
    const Checkpoint checkpoint = carrier.take_checkpoint();
    lane.advance({}, checkpoint);
    std::vector<std::string> refused;
    for (const DeadLetter& letter : checkpoint.dead) refused.push_back(letter.key);
    take_away(keys, std::move(refused));
    keys = lacking(lane, keys);
    take_away(keys, absent_of(lane, keys, at_least));
  }
}

std::string signal_text(const Record& record) {
  const std::string reason(record.text);
  switch (record.signal) {
    case 't':
      return "a relation was truncated: " + reason;
    case 'o':
      return "the change log was full: " + reason;
    default:
      return reason;
  }
}

}  // namespace

Drained drain_window(Lane& lane, int fetchers, bool move_anyway) {
  Drained drained;
  std::optional<Fetchers> crew;
  const auto size = static_cast<std::size_t>(lane.limits().page_keys);
  std::vector<std::string> page;
  auto answer = lane.store.window_keys();
  FrameReader frames;
  std::string_view frame;
  while (answer->next(frame)) {
    frames.open(frame);
    for (Record record; frames.next(record);) {
      if (record.kind == 'h') {
        drained.until = record.text;
        crew.emplace(lane, fetchers, drained.until);
      } else if (record.kind == 'k') {
        page.emplace_back(record.key);
        ++drained.keys;
        if (page.size() >= size) crew.value().give(std::exchange(page, {}));
      } else if (record.kind == 's') {
        const std::string reason = signal_text(record);
        answer.reset();
        spdlog::warn("event=stale delivery={} reason={}", log_text(lane.delivery), log_text(reason));
        lane.store.mark_stale(reason);
        drained.stale = true;
        return drained;
      }
    }
  }
  if (!frames.complete()) throw std::runtime_error("the database's answer is not whole: " + frames.problem());
  answer.reset();
  failpoint("after_window_read");
  if (!page.empty()) crew.value().give(std::move(page));
  const Checkpoint checkpoint = crew.value().finish();
  if (drained.keys > 0 || move_anyway) {
    failpoint("before_advance");
    lane.advance(drained.until, checkpoint);
    failpoint("after_advance");
    ++lane.progress.windows;
    drained.moved = true;
  }
  return drained;
}

std::string fill_range(Lane& lane, std::int64_t request, const Range& range, const std::function<void()>& has_read) {
  Carrier carrier(lane, Errand::request);
  carrier.range(range);
  has_read();
  carrier.settle();
  while (carrier.checkpoint_due()) record(lane, carrier);
  return finish_range(lane, request, range, carrier.handled(), carrier.take_checkpoint());
}

std::string compare_range(Lane& lane, std::int64_t request, const Range& range) {
  // The keys are read to their end before anything is asked of the target, if they are not too many.
  constexpr std::size_t most_keys = 100'000;
  const auto size = static_cast<std::size_t>(lane.limits().page_keys);
  std::vector<std::vector<std::string>> pages;
  std::int64_t compared = 0;
  std::size_t sent = 0;
  const auto compare = [&] {
    for (const std::vector<std::string>& page : pages) {
      if (lane.winding_down) throw LeftIncomplete();
      const std::vector<std::string> keys = lacking(lane, page);
      sent += keys.size();
      deliver_lacking(lane, keys, range.at_least);
      compared += static_cast<std::int64_t>(page.size());
    }
    pages.clear();
  };
  auto answer = lane.store.range_keys(range);
  read_keys(*answer, size, [&](std::vector<std::string> page) {
    pages.push_back(std::move(page));
    if (pages.size() * size >= most_keys) compare();
  });
  answer.reset();
  compare();
  spdlog::info("event=compared delivery={} keys={} lacking={}", log_text(lane.delivery), compared, sent);
  Checkpoint nothing;
  nothing.settled_below = lane.versions->settled_below();
  return finish_range(lane, request, range, compared, nothing);
}

void sweep(Lane& lane, const Request& request) {
  if (lane.target.can_list_ids()) {
    Carrier carrier(lane, Errand::request);
    const Destination destination = lane.destination();
    std::string position;
    do {
      const IdPage page = asked(lane.target.list_ids(destination, position), "list the ids in the target");
      deliver_pages(lane, carrier, absent_of(lane, page.ids, request.at_least), request.at_least);
      position = page.position;
      if (lane.winding_down) throw LeftIncomplete();
    } while (!position.empty());
    record(lane, carrier);
  }
  failpoint("before_sweep_finish");
  lane.store.sweep_finish(request.id);
}

bool deliver_requested(Lane& lane, const Request& request, std::int64_t& after) {
  // Between two checkpoints one page is read while others are on their way. With a rate they would be too far apart.
  const Limits limits = lane.limits();
  const RequestedKeys page =
      lane.store.request_keys(request.id, after, limits.rated ? limits.page_keys : pages_at_once * limits.page_keys);
  if (page.keys.empty()) {
    // An empty page ends the request.
    Checkpoint nothing;
    nothing.settled_below = lane.versions->settled_below();
    lane.store.request_keys_done(request.id, after, nothing);
    return false;
  }
  Carrier carrier(lane, Errand::request);
  deliver_pages(lane, carrier, page.keys, request.at_least);
  carrier.settle();
  failpoint("before_request_keys_done");
  lane.store.request_keys_done(request.id, page.upto, carrier.take_checkpoint());
  after = page.upto;
  return true;
}

bool settle_orphans(Lane& lane) {
  const std::vector<std::string> keys = lane.store.orphan_keys(lane.limits().page_keys);
  if (keys.empty()) return false;
  Carrier carrier(lane);
  deliver_pages(lane, carrier, keys, lane.cursor());
  record(lane, carrier);
  lane.store.orphans_settled(keys);
  return true;
}

}  // namespace conveyor
