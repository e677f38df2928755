#pragma once

#include "cli/configuration.hpp"

namespace conveyor {

// `conveyor agent`: runs until it is told to end. Returns the exit status.
int run_agent(Configuration configuration);

}  // namespace conveyor
