#include "run/removals.hpp"

#include <spdlog/spdlog.h>

#include "decide/log_text.hpp"

namespace conveyor {

namespace {
const Statement removal_done_call{"removal_done", "SELECT conveyor.removal_done($1, $2::bigint, $3)"};
}  // namespace

void Removals::begin(const json_t* removal, const std::string& origin) {
  const std::int64_t id = integer_member(removal, "id");
  if (under_way_.contains(id)) return;
  const std::string kind = string_member(removal, "kind"), options = text_member(removal, "target_options"),
                    secret = string_member(removal, "secret"), index = text_member(removal, "index");
  Destination destination;
  destination.delivery = string_member(removal, "delivery");
  destination.name = string_member(removal, "destination");
  destination.origin = origin + "/" + destination.delivery;
  destination.other = string_member(removal, "survivor");
  if (const Json state = parse_json(index)) destination.index = string_member(state.get(), "name");
  under_way_.emplace(id, std::async(std::launch::async, [=, this]() -> std::optional<std::string> {
                       const auto place = targets_.find(kind, options, secret);
                       if (!place) return place.failure.reason;
                       const auto removed = (*place.value)->target->remove_destination(destination, index);
                       if (!removed) return removed.failure.reason;
                       return std::nullopt;
                     }));
}

void Removals::finish(Connection& control) {
  for (auto it = under_way_.begin(); it != under_way_.end();) {
    if (it->second.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      ++it;
      continue;
    }
    const std::optional<std::string> problem = it->second.get();
    control.query(removal_done_call, {agent_, std::to_string(it->first), problem});
    spdlog::info("event=removal id={} result={}", it->first, log_text(problem.value_or("gone")));
    it = under_way_.erase(it);
  }
}

}  // namespace conveyor
