#include "run/carrier.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <thread>
#include <utility>

#include "decide/log_text.hpp"

namespace conveyor {

namespace {

using namespace std::chrono_literals;

// Dead letters and revived keys are kept in memory until a checkpoint.
constexpr std::size_t most_dead = 1000;
constexpr std::size_t most_revived = 20'000;
// Keys of a range that are kept in memory before their documents are fetched.
constexpr std::size_t most_keys = 50'000;

Backoff new_backoff() {
  return Backoff(200ms, 30s, static_cast<std::uint64_t>(Clock::now().time_since_epoch().count()));
}

// What came of one reading.
enum class Reading { done, stalled, failed };

// Reads an answer to its end. A time-out while the target held us up says nothing about the documents, and is a stall
// as much as one that the shipment noticed itself. `error`: why documents could not be made.
template <typename Ask>
Reading read(Shipment& shipment, Ask ask, std::optional<DatabaseError>& error) {
  const Duration stalled = shipment.stalled();
  try {
    const auto answer = ask();
    shipment.read(*answer);
    return Reading::done;
  } catch (const TargetStalled&) {
    return Reading::stalled;
  } catch (const DatabaseError& failure) {
    const bool timeout = failure.trouble() == Trouble::timeout;
    if (timeout && shipment.stalled() != stalled) return Reading::stalled;
    if (!timeout && failure.trouble() != Trouble::data) throw;
    error = failure;
    return Reading::failed;
  }
}

}  // namespace

bool Carrier::checkpoint_due() const {
  return shipment_.dead_letters() >= most_dead || shipment_.revived() >= most_revived;
}

void Carrier::keys(const std::vector<std::string>& keys, const std::string& at_least) {
  at_least_ = at_least;
  handled_ += static_cast<std::int64_t>(keys.size());
  fetch(keys, at_least);
}

// Where a fetch fails for what is in the documents, its halves are fetched one after the other, down to the one
// document; so are those of one that the target did not take in time, once it has taken what was read.
void Carrier::fetch(const std::vector<std::string>& keys, const std::string& at_least) {
  std::vector<std::vector<std::string>> left{keys};
  while (!left.empty()) {
    std::vector<std::string> part = std::move(left.back());
    left.pop_back();
    std::optional<DatabaseError> error;
    const Reading reading = read(
        shipment_, [&] { return lane_.store.fetch_keys(part, at_least); }, error);
    if (reading == Reading::done) continue;
    if (reading == Reading::stalled) shipment_.settle();
    if (part.size() > 1) {
      const auto middle = part.begin() + static_cast<std::ptrdiff_t>(part.size() / 2);
      left.emplace_back(middle, part.end());
      left.emplace_back(part.begin(), middle);
    } else if (reading == Reading::stalled) {
      left.push_back(std::move(part));
    } else {
      spdlog::warn("event=document_failed delivery={} sqlstate={}", log_text(lane_.delivery), error->sqlstate);
      shipment_.reject({part.front(), "document_query", error->text(), 1});
    }
  }
}

void Carrier::range(const Range& range) {
  at_least_ = range.at_least;
  // With a rate one answer could take longer than any answer may.
  if (lane_.limits().rated) return one_by_one(range);
  const std::int64_t before = shipment_.records();
  std::optional<DatabaseError> error;
  switch (read(
      shipment_, [&] { return lane_.store.fetch_range(range); }, error)) {
    case Reading::done:
      handled_ += shipment_.records() - before;
      return;
    case Reading::stalled:
      settle();
      break;
    case Reading::failed:
      spdlog::warn("event=range_failed delivery={} sqlstate={} next=\"its keys one page after the other\"",
                   log_text(lane_.delivery), error->sqlstate);
      break;
  }
  one_by_one(range);
}

void Carrier::one_by_one(const Range& range) {
  auto answer = lane_.store.range_keys(range);
  const auto size = static_cast<std::size_t>(lane_.limits().page_keys);
  // Keys are small: the answer is at its end, and its session free, before the first page is fetched, if it can be.
  std::vector<std::vector<std::string>> pages;
  const auto deliver = [&] {
    for (const std::vector<std::string>& page : pages) {
      keys(page, range.at_least);
      if (behind()) settle();
    }
    pages.clear();
  };
  read_keys(*answer, size, [&](std::vector<std::string> page) {
    pages.push_back(std::move(page));
    if (pages.size() * size >= most_keys) deliver();
  });
  answer.reset();
  deliver();
}

void Carrier::settle() {
  Backoff backoff = new_backoff();
  shipment_.settle();
  std::vector<std::string> left = shipment_.take_again();
  for (bool refused = true; !left.empty();) {
    if (refused) {
      std::ranges::sort(left);
      left.erase(std::unique(left.begin(), left.end()), left.end());
      // The target takes nothing at present: nothing is read meanwhile, so that no snapshot is kept open for it.
      const Duration pause = backoff.next();
      spdlog::info("event=read_again delivery={} documents={} delay_ms={} reason={}", log_text(lane_.delivery),
                   left.size(), std::chrono::duration_cast<std::chrono::milliseconds>(pause).count(),
                   log_text(lane_.throttle()));
      rest(pause);
    }
    // One page shows whether it takes something again.
    const std::size_t size = std::min(left.size(), static_cast<std::size_t>(lane_.limits().page_keys));
    const std::vector<std::string> page(left.end() - static_cast<std::ptrdiff_t>(size), left.end());
    left.resize(left.size() - size);
    fetch(page, at_least_);
    shipment_.settle();
    std::vector<std::string> again = shipment_.take_again();
    refused = !again.empty();
    if (!refused) backoff.reset();
    std::ranges::move(again, std::back_inserter(left));
  }
}

void Carrier::rest(Duration duration) {
  for (const Time until = Clock::now() + duration; Clock::now() < until;) {
    if (lane_.stop.stop_requested()) throw Stopped();
    if (lane_.winding_down || (given_up_ && *given_up_)) throw LeftIncomplete();
    std::this_thread::sleep_for(std::min<Duration>(until - Clock::now(), 50ms));
  }
}

}  // namespace conveyor
