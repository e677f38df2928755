#include "cli/command_line.hpp"

#include <CLI/CLI.hpp>

#include <iostream>

#include "cli/agent_command.hpp"
#include "cli/configuration.hpp"
#include "cli/exit_status.hpp"
#include "cli/status_command.hpp"

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

  std::vector<std::string> databases, tags;
  std::string name, http, config;
  bool watch = false;

  CLI::App* agent = app.add_subcommand("agent", "run deliveries until told to end");
  agent
      ->add_option("--database", databases,
                   "connection string; may be given several times (default: libpq's environment)")
      ->take_all()
      ->expected(1)
      ->type_name("CONNINFO");
  agent->add_option("--name", name, "what this agent is called in agent_status (default: host and process)")
      ->type_name("NAME");
  agent->add_option("--tag", tags, "work on deliveries with this tag too; may be given several times")
      ->take_all()
      ->expected(1)
      ->type_name("TAG");
  agent->add_option("--http", http, "serve /metrics, /healthz and /readyz there")->type_name("ADDRESS:PORT");
  agent->add_option("--config", config, "settings; the command line wins")->type_name("FILE.toml");

  CLI::App* status = app.add_subcommand("status", "show deliveries and agents");
  status
      ->add_option("--database", databases,
                   "connection string; may be given several times (default: libpq's environment)")
      ->take_all()
      ->expected(1)
      ->type_name("CONNINFO");
  status->add_flag("--watch", watch, "again every second");

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
    if (status->parsed()) {
      if (databases.empty()) databases.push_back("");
      return run_status(databases, watch);
    }
    Configuration configuration;
    if (!config.empty()) read_configuration(config, configuration);
    if (!databases.empty()) configuration.databases = databases;
    if (!tags.empty()) configuration.tags = tags;
    if (!name.empty()) configuration.name = name;
    if (!http.empty()) {
      parse_http_address(http);
      configuration.http = http;
    }
    return run_agent(std::move(configuration));
  } catch (const UsageError& error) {
    return fail(error.what());
  }
}

}  // namespace conveyor
