// The whole agent: databases, and the targets that they share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "run/database.hpp"
#include "run/shared_target.hpp"

namespace conveyor {

class Agent {
 public:
  // `memory`: bytes of documents on their way, over all targets.
  Agent(const AgentIdentity& identity, const std::vector<std::string>& databases, int connections, std::size_t memory);

  void start();
  void wind_down(Time deadline);
  bool finished() const;
  // Every database was tried once, and none of them answered.
  bool no_connection() const;

  const AgentIdentity& identity() const { return identity_; }
  std::vector<DatabaseStatus> status() const;

 private:
  const AgentIdentity identity_;
  TargetRegistry targets_;
  std::vector<std::unique_ptr<Database>> databases_;
  mutable bool connected_once_ = false;
};

}  // namespace conveyor
