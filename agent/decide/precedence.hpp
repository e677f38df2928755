// Live changes go before what is sent again on request, where both want the same place in flight or the same leave of
// the delivery's rate. Pure.
#pragma once

#include "decide/clock.hpp"

namespace conveyor {

class Precedence {
 public:
  // Whoever waits asks again more often than this.
  static constexpr Duration asks_every = std::chrono::milliseconds(100);
  // However many changes there are, a request gets something through so often.
  static constexpr Duration longest_wait = std::chrono::seconds(2);

  // A change could not be sent now.
  void live_waits(Time now) {
    if (!waits(now)) held_since_ = now;
    live_waited_at_ = now;
  }
  void live_went() { live_waited_at_ = {}; }
  void request_went(Time now) { held_since_ = now; }

  bool request_may_go(Time now) const { return !waits(now) || now - held_since_ >= longest_wait; }

 private:
  bool waits(Time now) const { return live_waited_at_ != Time{} && now - live_waited_at_ < asks_every; }

  Time live_waited_at_{}, held_since_{};
};

}  // namespace conveyor
