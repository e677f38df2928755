// A rebuild, taken forward by the runner of the second index. The database says what comes next (sql/64); what is left
// to do here is to lead the destination's name from one index to the other. That and recording it can be done again by
// whoever comes next: each looks first, and the name always leads to exactly one of the two, both of which are live.
#include <spdlog/spdlog.h>

#include "decide/log_text.hpp"
#include "run/failpoint.hpp"
#include "run/runner.hpp"

namespace conveyor {

namespace {

using namespace std::chrono_literals;

constexpr Duration look_every = 300ms;
// A request from before may arrive late and lead the name back: then to an index that is kept, but not for ever.
constexpr Duration watch_every = 10s;

}  // namespace

bool Runner::rebuild_due_locked() const {
  return prepared_ && spec_.rebuild.beside && spec_.rebuild.state != "held" &&
         !(spec_.rebuild.state == "filling" && spec_.filling()) && Clock::now() >= rebuild_at_;
}

void Runner::rebuild_step() {
  Rebuild rebuild;
  {
    std::lock_guard lock(mutex_);
    if (!spec_.may_work() || shutting_down_ || !rebuild_due_locked()) return;
    rebuild = spec_.rebuild;
    rebuild_at_ = Clock::now() + (rebuild.resting() ? watch_every : look_every);
  }
  if (rebuild.resting()) {
    const Result<bool> led = lane_->target.lead_name(lane_->destination(), rebuild.other, rebuild.index);
    if (!led)
      spdlog::warn("event=name_unknown delivery={} reason={}", log_text(lane_->delivery), log_text(led.failure.reason));
    return;
  }
  const std::optional<Turning> turning = store_->rebuild_next();
  failpoint("rebuild_after_next");
  if (turning) turn(*turning, rebuild.index, rebuild.other);
}

void Runner::turn(const Turning& turning, const std::string& own, const std::string& other) {
  if (turning.to == own) {
    const std::string reason = value_of(lane_->target.unready(lane_->destination(), other));
    lane_->set_error("rebuild", reason);
    if (!reason.empty()) return;
  }
  failpoint("rebuild_before_turn");
  if (const Result<bool> led = lane_->target.lead_name(lane_->destination(), turning.to, turning.from); !led) {
    if (led.failure.outcome == Outcome::hold) throw Held(led.failure.reason);
    throw TargetTrouble("target: " + led.failure.reason);
  }
  failpoint("rebuild_after_turn");
  store_->rebuild_turned();
  failpoint("rebuild_after_turned");
  spdlog::info("event=turned delivery={} to={} from={}", log_text(lane_->delivery), log_text(turning.to),
               log_text(turning.from));
  lease_ended();
}

}  // namespace conveyor
