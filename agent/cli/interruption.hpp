// SIGINT and SIGTERM as a request to stop, for commands that do one thing; a second one ends the program at once.
#pragma once

#include <stop_token>
#include <thread>

namespace conveyor {

// Made before any other thread; while it lives, the signals end nothing by themselves.
class Interruption {
 public:
  Interruption();
  std::stop_token token() const { return stop_.get_token(); }

 private:
  std::stop_source stop_;
  std::jthread waiter_;
};

}  // namespace conveyor
