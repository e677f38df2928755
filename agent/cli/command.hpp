// What the commands have in common. Each stands in a file of its own, with its options, and adds itself to the program.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "postgres/error.hpp"

namespace CLI {
class App;
}

namespace conveyor {

// What was asked for; returns the exit status. May throw UsageError.
using Command = std::function<int()>;

// `--database CONNINFO`, to be given once, or several times.
void add_database_option(CLI::App& command, std::string& database);
void add_database_option(CLI::App& command, std::vector<std::string>& databases);

// When the command line names `command`, `run` is what was chosen.
void run_as(CLI::App& command, Command& chosen, Command run);

// Says on standard error what the database said; returns the exit status that goes with it.
int report(const DatabaseError& error);

// What the database said to a command's first statement, with what to run where the extension or a right is missing.
// `role` is the one that the command needs.
DatabaseError with_remedy(DatabaseError error, const std::string& role, const std::string& user);

}  // namespace conveyor
