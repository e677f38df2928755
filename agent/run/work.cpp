#include "run/work.hpp"

#include <spdlog/spdlog.h>

#include <optional>
#include <utility>

#include "decide/log_text.hpp"
#include "run/failpoint.hpp"
#include "run/fetchers.hpp"

namespace conveyor {

namespace {

// Records what has been settled without moving the cursor.
void record(Lane& lane, Carrier& carrier) {
  carrier.settle();
  lane.advance({}, carrier.take_checkpoint());
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
  Carrier carrier(lane);
  carrier.range(range);
  has_read();
  carrier.settle();
  while (carrier.checkpoint_due()) record(lane, carrier);
  failpoint("before_range_finish");
  const std::string phase =
      lane.store.range_finish(request, range.number, carrier.handled(), carrier.take_checkpoint());
  failpoint("after_range_finish");
  return phase;
}

void sweep(Lane& lane, const Request& request) {
  if (lane.target.can_list_ids()) {
    Carrier carrier(lane);
    const Destination destination = lane.destination();
    std::string position;
    do {
      const auto page = lane.target.list_ids(destination, position);
      if (!page) {
        if (page.failure.outcome == Outcome::hold) throw Held(page.failure.reason);
        throw TargetTrouble("could not list the ids in the target: " + page.failure.reason);
      }
      std::vector<std::string> absent;
      if (!page.value->ids.empty()) {
        const auto answer = lane.store.absent_keys(page.value->ids, request.at_least);
        read_keys(*answer, SIZE_MAX, [&](std::vector<std::string> keys) { absent = std::move(keys); });
      }
      deliver_pages(lane, carrier, absent, request.at_least);
      position = page.value->position;
      if (lane.winding_down) throw LeftIncomplete();
    } while (!position.empty());
    record(lane, carrier);
  }
  lane.store.sweep_finish(request.id);
}

bool deliver_requested(Lane& lane, const Request& request, std::int64_t& after) {
  const RequestedKeys page = lane.store.request_keys(request.id, after, lane.limits().page_keys);
  if (page.keys.empty()) {
    // An empty page ends the request.
    Checkpoint nothing;
    nothing.settled_below = lane.versions->settled_below();
    lane.store.request_keys_done(request.id, after, nothing);
    return false;
  }
  Carrier carrier(lane);
  deliver_pages(lane, carrier, page.keys, request.at_least);
  carrier.settle();
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
