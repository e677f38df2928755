#include "run/carrier.hpp"

#include <spdlog/spdlog.h>

#include <utility>

namespace conveyor {

namespace {

using namespace std::chrono_literals;

// Dead letters and revived keys are kept in memory until a checkpoint.
constexpr std::size_t most_dead = 1000;
constexpr std::size_t most_revived = 20'000;

Backoff new_backoff() { return Backoff(200ms, 30s, static_cast<std::uint64_t>(Clock::now().time_since_epoch().count())); }

}  // namespace

bool Carrier::checkpoint_due() const {
  return shipment_.dead_letters() >= most_dead || shipment_.revived() >= most_revived;
}

// A time-out while the target held us up says nothing about the documents: the same is to be tried again.
bool Carrier::about_documents(const DatabaseError& error, Duration stalled_before) const {
  if (error.trouble() == Trouble::data) return true;
  return error.trouble() == Trouble::timeout && shipment_.stalled() == stalled_before;
}

void Carrier::keys(const std::vector<std::string>& keys, const std::string& at_least) {
  at_least_ = at_least;
  handled_ += static_cast<std::int64_t>(keys.size());
  fetch(keys, at_least);
}

// Where a fetch fails for what is in the documents, its halves are fetched one after the other, down to the one document.
void Carrier::fetch(const std::vector<std::string>& keys, const std::string& at_least) {
  std::vector<std::vector<std::string>> left{keys};
  while (!left.empty()) {
    const std::vector<std::string> part = std::move(left.back());
    left.pop_back();
    const Duration stalled = shipment_.stalled();
    try {
      const auto answer = lane_.store.fetch_keys(part, at_least);
      shipment_.read(*answer);
    } catch (const DatabaseError& error) {
      if (!about_documents(error, stalled)) throw;
      if (part.size() == 1) {
        spdlog::warn("event=document_failed delivery={} sqlstate={}", lane_.delivery, error.sqlstate);
        shipment_.reject({part.front(), "document_query", error.text(), 1});
        continue;
      }
      const auto middle = part.begin() + static_cast<std::ptrdiff_t>(part.size() / 2);
      left.emplace_back(middle, part.end());
      left.emplace_back(part.begin(), middle);
    }
  }
}

void Carrier::range(const Range& range) {
  at_least_ = range.at_least;
  const std::int64_t before = shipment_.records();
  const Duration stalled = shipment_.stalled();
  try {
    const auto answer = lane_.store.fetch_range(range);
    shipment_.read(*answer);
    handled_ += shipment_.records() - before;
  } catch (const DatabaseError& error) {
    if (!about_documents(error, stalled)) throw;
    spdlog::warn("event=range_failed delivery={} sqlstate={} next=\"its keys one page after the other\"", lane_.delivery,
                 error.sqlstate);
    one_by_one(range);
  }
}

void Carrier::one_by_one(const Range& range) {
  const auto answer = lane_.store.range_keys(range);
  const auto size = static_cast<std::size_t>(lane_.limits().page_keys);
  read_keys(*answer, size, [&](std::vector<std::string> page) { keys(page, range.at_least); });
}

void Carrier::settle() {
  Backoff backoff = new_backoff();
  for (;;) {
    shipment_.settle();
    const std::vector<std::string> again = shipment_.take_again();
    if (again.empty()) return;
    // The target takes nothing at present: nothing is read meanwhile, so that no snapshot is kept open for it.
    Duration rest = backoff.next();
    spdlog::info("event=read_again delivery={} documents={} delay_ms={} reason=\"{}\"", lane_.delivery, again.size(),
                 std::chrono::duration_cast<std::chrono::milliseconds>(rest).count(), lane_.throttle());
    for (const Time until = Clock::now() + rest; Clock::now() < until;) {
      if (lane_.stop.stop_requested()) throw Stopped();
      if (lane_.winding_down) throw LeftIncomplete();
      std::this_thread::sleep_for(std::min<Duration>(until - Clock::now(), 50ms));
    }
    const auto size = static_cast<std::size_t>(lane_.limits().page_keys);
    for (std::size_t at = 0; at < again.size(); at += size)
      fetch({again.begin() + static_cast<std::ptrdiff_t>(at),
             again.begin() + static_cast<std::ptrdiff_t>(std::min(at + size, again.size()))},
            at_least_);
  }
}

}  // namespace conveyor
