// Delivers the keys of one window over several connections: whoever reads the window gives pages, each fetcher takes
// the next one. A window of one page is fetched by the giver itself.
//
// give() and finish() are one thread's. The keys that wait are bounded, so that a window of any size needs no more
// memory.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "run/carrier.hpp"
#include "run/lane.hpp"

namespace conveyor {

class Fetchers {
 public:
  // `at_least`: the snapshot that every read must contain, which is the window's end.
  Fetchers(Lane& lane, int most, std::string at_least);
  // Ends what is under way; nothing is recorded.
  ~Fetchers();

  // Takes a page over; waits while too many are waiting. Throws what a fetcher threw.
  void give(std::vector<std::string> page);
  // Waits until everything is settled, and says what is to be recorded. Throws what a fetcher threw.
  Checkpoint finish();

 private:
  struct Fetcher {
    Carrier carrier;
    std::jthread thread;
    Fetcher(Lane& lane, const std::atomic<bool>* given_up) : carrier(lane, Errand::live, given_up) {}
  };

  void work(Carrier& carrier);
  void deliver(Carrier& carrier, const std::vector<std::string>& page);
  void start();
  [[noreturn]] void fail();

  Lane& lane_;
  const int most_;
  const std::string at_least_;
  std::vector<std::string> first_;  // the window's first page, until there is a second

  std::mutex mutex_;  // of everything up to the next blank line
  std::condition_variable_any changed_;
  std::deque<std::vector<std::string>> pages_;
  std::size_t bytes_ = 0;
  bool complete_ = false;
  int working_ = 0;
  std::exception_ptr error_;

  std::atomic<bool> given_up_{false};
  std::list<Fetcher> fetchers_;
};

}  // namespace conveyor
