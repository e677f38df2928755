#pragma once

#include "cli/command.hpp"

namespace conveyor {

// `conveyor agent`: runs deliveries until it is told to end.
void add_agent_command(CLI::App& app, Command& chosen);

}  // namespace conveyor
