#include "cli/command.hpp"

#include <CLI/CLI.hpp>

#include <iostream>

#include "cli/exit_status.hpp"

namespace conveyor {

void add_database_option(CLI::App& command, std::string& database) {
  command.add_option("--database", database, "connection string (default: libpq's environment)")->type_name("CONNINFO");
}

void add_database_option(CLI::App& command, std::vector<std::string>& databases) {
  command
      .add_option("--database", databases,
                  "connection string; may be given several times (default: libpq's environment)")
      ->take_all()
      ->expected(1)
      ->type_name("CONNINFO");
}

void run_as(CLI::App& command, Command& chosen, Command run) {
  command.callback([&chosen, run = std::move(run)] { chosen = run; });
}

int report(const DatabaseError& error) {
  std::cerr << "conveyor: " << error.what() << "\n";
  if (!error.hint.empty()) std::cerr << "hint: " << error.hint << "\n";
  return error.connection_lost() ? could_not_connect : not_so;
}

DatabaseError with_remedy(DatabaseError error, const std::string& role, const std::string& user) {
  if (error.hint.empty()) error.hint = first_remedy(error.sqlstate, role, user);
  return error;
}

}  // namespace conveyor
