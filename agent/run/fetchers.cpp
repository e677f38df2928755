#include "run/fetchers.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace conveyor {

namespace {

// Keys that wait for a fetcher. A window with fewer is read to its end, and its session free, before all are fetched.
constexpr std::size_t most_bytes = 4u << 20;

std::size_t size_of(const std::vector<std::string>& page) {
  std::size_t bytes = 0;
  for (const std::string& key : page) bytes += key.size() + sizeof(std::string);
  return bytes;
}

}  // namespace

Fetchers::Fetchers(Lane& lane, int most, std::string at_least)
    : lane_(lane), most_(std::max(1, most)), at_least_(std::move(at_least)) {}

Fetchers::~Fetchers() {
  {
    std::lock_guard lock(mutex_);
    given_up_ = true;
    complete_ = true;
    pages_.clear();
  }
  changed_.notify_all();
}

void Fetchers::give(std::vector<std::string> page) {
  if (fetchers_.empty()) {
    if (first_.empty()) {
      first_ = std::move(page);
      return;
    }
    start();
    give(std::exchange(first_, {}));
  }
  const std::size_t bytes = size_of(page);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, lane_.stop, [&] { return error_ || pages_.empty() || bytes_ + bytes <= most_bytes; });
  if (error_) fail();
  if (lane_.stop.stop_requested()) throw Stopped();
  pages_.push_back(std::move(page));
  bytes_ += bytes;
  changed_.notify_all();
}

void Fetchers::start() {
  for (int i = 0; i < most_; ++i) {
    Fetcher& fetcher = fetchers_.emplace_back(lane_, &given_up_);
    {
      std::lock_guard lock(mutex_);
      ++working_;
    }
    fetcher.thread = std::jthread([this, &fetcher] { work(fetcher.carrier); });
  }
}

void Fetchers::work(Carrier& carrier) {
  try {
    for (;;) {
      std::vector<std::string> page;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !pages_.empty() || complete_; });
        if (pages_.empty()) break;
        page = std::move(pages_.front());
        pages_.pop_front();
        bytes_ -= size_of(page);
      }
      changed_.notify_all();
      deliver(carrier, page);
    }
    if (!given_up_) carrier.settle();
  } catch (...) {
    std::lock_guard lock(mutex_);
    if (!error_) error_ = std::current_exception();
    given_up_ = true;
    complete_ = true;
    pages_.clear();
  }
  std::lock_guard lock(mutex_);
  --working_;
  changed_.notify_all();
}

void Fetchers::deliver(Carrier& carrier, const std::vector<std::string>& page) {
  carrier.keys(page, at_least_);
  if (carrier.behind()) carrier.settle();
  if (!carrier.checkpoint_due()) return;
  carrier.settle();
  lane_.advance({}, carrier.take_checkpoint());
}

// The first one says why; the others were told to give up.
void Fetchers::fail() { std::rethrow_exception(error_); }

Checkpoint Fetchers::finish() {
  if (fetchers_.empty()) {
    Carrier carrier(lane_);
    if (!first_.empty()) deliver(carrier, std::exchange(first_, {}));
    carrier.settle();
    return carrier.take_checkpoint();
  }
  {
    std::unique_lock lock(mutex_);
    complete_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return working_ == 0; });
    if (error_) fail();
  }
  Checkpoint all;
  for (Fetcher& fetcher : fetchers_) {
    Checkpoint part = fetcher.carrier.take_checkpoint();
    all.settled_below = part.settled_below;  // of the lane; the last one asked knows that all have settled
    all.counts.sent += part.counts.sent;
    all.counts.deleted += part.counts.deleted;
    all.counts.superseded += part.counts.superseded;
    std::ranges::move(part.dead, std::back_inserter(all.dead));
    std::ranges::move(part.revived, std::back_inserter(all.revived));
  }
  return all;
}

}  // namespace conveyor
