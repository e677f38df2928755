// The program's commands and their options.
#pragma once

#include <iosfwd>

namespace conveyor {

// Returns the exit status.
int run_command_line(int argc, char** argv);

}  // namespace conveyor
