#include "run/agent.hpp"

#include <algorithm>
#include <map>
#include <string>

namespace conveyor {

Agent::Agent(const AgentIdentity& identity, const std::vector<std::string>& databases, int connections,
             std::size_t memory)
    : identity_(identity), targets_(memory) {
  for (const std::string& conninfo : databases)
    databases_.push_back(std::make_unique<Database>(conninfo, connections, identity_, targets_));
}

void Agent::start() {
  for (auto& database : databases_) database->start();
}

void Agent::wind_down(Time deadline) {
  for (auto& database : databases_) database->wind_down(deadline);
}

bool Agent::finished() const {
  return std::all_of(databases_.begin(), databases_.end(), [](const auto& database) { return database->finished(); });
}

bool Agent::no_connection() const {
  if (connected_once_) return false;
  bool all_tried = true;
  for (const auto& database : databases_) {
    all_tried = all_tried && database->tried();
    connected_once_ = connected_once_ || database->reached();
  }
  return all_tried && !connected_once_;
}

std::vector<DatabaseStatus> Agent::status() const {
  std::vector<DatabaseStatus> all;
  std::map<std::string, int> seen;
  for (const auto& database : databases_) {
    all.push_back(database->status());
    // On different servers; in their order on the command line.
    if (const int number = ++seen[all.back().name]; number > 1) all.back().name += "#" + std::to_string(number);
  }
  return all;
}

}  // namespace conveyor
