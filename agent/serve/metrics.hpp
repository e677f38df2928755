#pragma once

#include <string>

#include "run/agent.hpp"

namespace conveyor {

// The agent's state in Prometheus' text format.
std::string metrics_text(const AgentIdentity& identity, const std::vector<DatabaseStatus>& databases);

}  // namespace conveyor
