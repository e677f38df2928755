#pragma once

#include "cli/command.hpp"

namespace conveyor {

// `conveyor verify DELIVERY`: its documents here and in the target, compared by content.
void add_verify_command(CLI::App& app, Command& chosen);

}  // namespace conveyor
