// How long to wait before looking for changes again: at once while there are some, seldom when nothing happens.
#pragma once

#include "decide/clock.hpp"

namespace conveyor {

class PollInterval {
 public:
  // After a find the next look comes `shortest` later; each look in vain makes the wait half as long again, up to
  // `longest`.
  PollInterval(Duration shortest, Duration longest);

  Duration next(bool found);
  // Nobody had to look, because everyone is at work on what was found before: when that ends, a look is due at once.
  void busy() { current_ = shortest_; }
  void set_bounds(Duration shortest, Duration longest);

 private:
  Duration shortest_, longest_, current_;
};

}  // namespace conveyor
