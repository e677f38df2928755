#include "cli/command_line.hpp"

#include <CLI/CLI.hpp>

#include <iostream>

#include "cli/agent_command.hpp"
#include "cli/configuration.hpp"
#include "cli/exit_status.hpp"
#include "cli/lint_command.hpp"
#include "cli/resync_command.hpp"
#include "cli/status_command.hpp"
#include "cli/verify_command.hpp"

namespace conveyor {

namespace {

int fail(const std::string& message) {
  std::cerr << "conveyor: " << message << "\n";
  return usage;
}

}  // namespace

int run_command_line(int argc, char** argv) {
  CLI::App app("Keeps search indices equal to views of PostgreSQL tables.", "conveyor");
  app.set_version_flag("--version", std::string("conveyor ") + CONVEYOR_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Where the database is: --database, or libpq's environment (PGHOST, PGDATABASE, PGSERVICE, PGPASSFILE, ...).\n"
      "Secrets of targets: CONVEYOR_<TARGET>_PASSWORD and CONVEYOR_<TARGET>_API_KEY in the agent's environment.\n"
      "Exit status: 0 done, 1 what was asked about is not so, 2 usage, 3 could not connect.");

  Command chosen;
  add_agent_command(app, chosen);
  add_status_command(app, chosen);
  add_verify_command(app, chosen);
  add_resync_command(app, chosen);
  add_lint_command(app, chosen);

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    if (argc > 1 && argv[1][0] != '-' && app.get_subcommands().empty())
      return fail("there is no command \"" + std::string(argv[1]) + "\" (conveyor --help lists commands and options)");
    return fail(std::string(error.what()) + " (conveyor --help lists commands and options)");
  }

  try {
    return chosen();
  } catch (const UsageError& error) {
    return fail(error.what());
  }
}

}  // namespace conveyor
