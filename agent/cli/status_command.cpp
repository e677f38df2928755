#include "cli/status_command.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <thread>

#include "cli/exit_status.hpp"
#include "postgres/connection.hpp"

namespace conveyor {

namespace {

struct Question {
  Statement statement;
  std::vector<std::string> titles;
};

const Question deliveries{
    {"deliveries",
     "SELECT delivery, state, percent::text || ' %', pending, date_trunc('milliseconds', lag), documents_sent, "
     "documents_deleted, dead_letters, round(documents_per_second::numeric, 1), eta, agent, "
     "nullif(concat_ws('; ', coalesce(throttle, last_error), 'rebuild ' || rebuild), '') FROM conveyor.delivery_status "
     "ORDER BY delivery"},
    {"delivery", "state", "done", "pending", "lag", "sent", "deleted", "dead", "per s", "eta", "agent", "note"}};

const Question agents{{"agents",
                       "SELECT agent, host, pid, version, array_to_string(tags, ' '), "
                       "date_trunc('milliseconds', heartbeat_age), deliveries, "
                       "round(documents_per_second::numeric, 1) FROM conveyor.agent_status ORDER BY agent"},
                      {"agent", "host", "pid", "version", "tags", "heartbeat", "deliveries", "per s"}};

// Characters, not bytes: names may be in any language.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

Rows ask(Connection& connection, const Statement& statement) {
  try {
    return connection.query(statement);
  } catch (const DatabaseError& error) {
    throw with_remedy(error, "conveyor_reader", connection.user());
  }
}

std::string answer(Connection& connection, const Question& question) {
  const Rows rows = ask(connection, question.statement);
  std::vector<std::vector<std::string>> table;
  for (int row = 0; row < rows.size(); ++row) {
    std::vector<std::string> line;
    for (std::size_t column = 0; column < question.titles.size(); ++column)
      line.push_back(rows.get(row, static_cast<int>(column)).value_or("-"));
    table.push_back(std::move(line));
  }
  return format_table(question.titles, table);
}

// `watch`: again every second until interrupted.
int run_status(const std::vector<std::string>& databases, bool watch) {
  try {
    std::vector<std::unique_ptr<Connection>> connections;
    for (const std::string& conninfo : databases)
      connections.push_back(std::make_unique<Connection>(conninfo, "conveyor status", std::stop_token{}));
    do {
      std::string text;
      for (auto& connection : connections) text += answer(*connection, deliveries) + "\n" + answer(*connection, agents);
      if (watch && isatty(STDOUT_FILENO)) std::cout << "\033[H\033[J";
      std::cout << text << std::flush;
      if (watch) std::this_thread::sleep_for(std::chrono::seconds(1));
    } while (watch && std::cout);
  } catch (const DatabaseError& error) {
    return report(error);
  }
  return done;
}

}  // namespace

std::string format_table(const std::vector<std::string>& titles, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const std::string& title : titles) widths.push_back(width(title));
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  std::string text;
  const auto line = [&](const std::vector<std::string>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      text += cells[i];
      if (i + 1 < cells.size()) text.append(widths[i] - width(cells[i]) + 2, ' ');
    }
    text += '\n';
  };
  line(titles);
  for (const auto& row : rows) line(row);
  return text;
}

void add_status_command(CLI::App& app, Command& chosen) {
  struct Options {
    std::vector<std::string> databases;
    bool watch = false;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("status", "show deliveries and agents");
  add_database_option(*command, options->databases);
  command->add_flag("--watch", options->watch, "again every second");
  run_as(*command, chosen, [options] {
    if (options->databases.empty()) options->databases.push_back("");
    return run_status(options->databases, options->watch);
  });
}

}  // namespace conveyor
