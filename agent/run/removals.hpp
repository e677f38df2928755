// Destinations of dropped deliveries, on their way to be removed. Used by one thread; each removal talks to its target
// on a thread of its own.
#pragma once

#include <cstdint>
#include <future>
#include <map>
#include <optional>
#include <string>

#include "postgres/connection.hpp"
#include "run/json.hpp"
#include "run/shared_target.hpp"

namespace conveyor {

class Removals {
 public:
  Removals(std::string agent, TargetRegistry& targets) : agent_(std::move(agent)), targets_(targets) {}

  // An entry of agent_sync()'s "removals"; one that is under way is not begun again. `origin` names the database.
  void begin(const json_t* removal, const std::string& origin);
  // Tells the database what has ended.
  void finish(Connection& control);

 private:
  const std::string agent_;
  TargetRegistry& targets_;
  std::map<std::int64_t, std::future<std::optional<std::string>>> under_way_;  // by id; what went wrong
};

}  // namespace conveyor
