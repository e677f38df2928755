#pragma once

#include "cli/command.hpp"

namespace conveyor {

// `conveyor resync`: documents of a delivery again, those of a list of ids or of a query.
void add_resync_command(CLI::App& app, Command& chosen);

}  // namespace conveyor
