// What a piece of work that failed means for the delivery: later again, held, or over.
#include <spdlog/spdlog.h>

#include "decide/log_text.hpp"
#include "run/runner.hpp"

namespace conveyor {

using namespace std::chrono_literals;

Backoff Runner::new_backoff() {
  return Backoff(200ms, 30s, static_cast<std::uint64_t>(Clock::now().time_since_epoch().count()));
}

// The value of what a target was asked for; throws what its refusal means.
IndexState Runner::value_of(Result<IndexState> result) {
  if (result) return std::move(*result.value);
  if (result.failure.outcome == Outcome::hold) throw Held(result.failure.reason);
  throw TargetTrouble("target: " + result.failure.reason);
}

void Runner::trouble(const char* doing, Backoff& backoff) {
  try {
    throw;
  } catch (const Stopped&) {
  } catch (const LeftIncomplete&) {
    rest(50ms);
  } catch (const Held& held) {
    hold(held.what());
  } catch (const DatabaseError& error) {
    switch (error.trouble()) {
      case Trouble::lease_lost:
        spdlog::warn("event=lease_lost delivery={} lease={}", log_text(lane_->delivery), lease_);
        return lease_ended();
      case Trouble::protocol:
      case Trouble::data:
      case Trouble::definition:
        return hold(error.text() + (error.hint.empty() ? "" : " (hint: " + error.hint + ")"));
      case Trouble::transient:
      case Trouble::timeout:
        break;
    }
    try_later(doing, backoff, error.text());
  } catch (const TargetTrouble& error) {
    try_later(doing, backoff, error.what());
  } catch (const std::exception& error) {
    const Duration wait = backoff.next();
    lane_->set_error(doing, error.what());
    spdlog::error("event=error delivery={} doing={} message={}", log_text(lane_->delivery), doing,
                  log_text(error.what()));
    rest(wait);
  }
}

void Runner::try_later(const char* doing, Backoff& backoff, const std::string& reason) {
  const Duration wait = backoff.next();
  lane_->set_error(doing, reason);
  spdlog::warn("event=error delivery={} doing={} failures={} message={}", log_text(lane_->delivery), doing,
               backoff.failures(), log_text(reason));
  rest(wait);
}

void Runner::hold(const std::string& reason) {
  spdlog::error("event=held delivery={} reason={}", log_text(lane_->delivery), log_text(reason));
  lane_->set_error("hold", reason);
  try {
    store_->hold(reason);
  } catch (const Stopped&) {
    return;
  } catch (const DatabaseError& error) {
    if (error.trouble() == Trouble::lease_lost) return lease_ended();
    // The next attempt of the work itself says it again.
    spdlog::warn("event=error delivery={} doing=hold message={}", log_text(lane_->delivery), log_text(error.text()));
    rest(1s);
    return;
  }
  std::lock_guard lock(mutex_);
  spec_.state = "waiting";
  prepared_ = false;  // what was in its way may have been the destination
  lane_->winding_down = true;
}

void Runner::rest(Duration duration) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, stop_.get_token(), duration, [&] { return shutting_down_; });
}

}  // namespace conveyor
