#include "cli/lint_command.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <chrono>
#include <iostream>
#include <memory>

#include "cli/configuration.hpp"
#include "cli/exit_status.hpp"
#include "cli/interruption.hpp"
#include "cli/key_source.hpp"
#include "decide/line_splitter.hpp"

namespace conveyor {

namespace {

constexpr std::size_t longest_query = 1u << 20;
// The trial asks for one row, which a query may take long for.
constexpr std::chrono::minutes patience{10};

const Statement lint_call{
    "lint_query", "SELECT severity, problem, remedy, \"position\" FROM conveyor.lint_query($1, $2, $3::boolean)"};

std::string query_in(const std::string& file, const std::stop_token& stop) {
  if (file != "-" && !file.ends_with(".sql"))
    throw UsageError(fmt::format("\"{}\" is no .sql file (and - is standard input)", file));
  std::string query;
  OpenSource source({file, {}});
  source.read(
      stop,
      [&](std::string_view bytes) {
        query.append(bytes);
        if (query.size() > longest_query)
          throw UsageError(fmt::format("\"{}\" is longer than {} bytes: it is no query", file, longest_query));
      },
      [](const std::string&) {});
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (query.starts_with(byte_order_mark)) query.erase(0, byte_order_mark.size());
  return query;
}

struct LintOptions {
  std::vector<std::string> files;
  std::string database, delivery;
  bool no_trial = false;
};

int run_lint(const LintOptions& options) {
  const Interruption interruption;
  bool any = false;
  std::unique_ptr<Connection> connection;
  try {
    for (const std::string& file : options.files) {
      const std::string query = query_in(file, interruption.token());
      if (!is_utf8(query) || query.find('\0') != std::string::npos) {
        std::cout << file << ":1:1: error: it is not UTF-8 text\n";
        any = true;
        continue;
      }
      if (!connection)
        connection = std::make_unique<Connection>(options.database, "conveyor lint", interruption.token());
      const Findings findings = lint(*connection, file, query, options.delivery, !options.no_trial);
      std::cout << findings.text;
      any = any || findings.any;
    }
  } catch (const DatabaseError& error) {
    return report(error);
  } catch (const SourceError& error) {
    std::cerr << "conveyor: " << error.what() << "\n";
    return usage;
  } catch (const Stopped&) {
    std::cerr << "conveyor: interrupted\n";
    return not_so;
  }
  return any ? not_so : done;
}

}  // namespace

Place place_of(std::string_view text, std::int64_t character) {
  Place place;
  std::int64_t at = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0) == 0x80) continue;  // inside a character
    if (++at >= character) break;
    if (c == '\n') {
      ++place.line;
      place.column = 1;
    } else {
      ++place.column;
    }
  }
  return place;
}

Findings lint(Connection& connection, const std::string& name, const std::string& query, const std::string& delivery,
              bool trial) {
  Findings findings;
  try {
    const Rows rows = connection.query(
        lint_call, {query, delivery.empty() ? std::nullopt : std::optional(delivery), trial ? "true" : "false"},
        patience);
    for (int row = 0; row < rows.size(); ++row) {
      const std::string severity = rows.get(row, 0).value_or("error");
      findings.any = true;
      findings.error = findings.error || severity == "error";
      std::string where = name;
      if (const auto position = rows.get(row, 3)) {
        const Place place = place_of(query, std::stoll(*position));
        where += fmt::format(":{}:{}", place.line, place.column);
      }
      findings.text += fmt::format("{}: {}: {}\n", where, severity, rows.get(row, 1).value_or(""));
      if (const auto remedy = rows.get(row, 2)) findings.text += fmt::format("  hint: {}\n", *remedy);
    }
  } catch (const DatabaseError& error) {
    throw with_remedy(error, "conveyor_reader", connection.user());
  }
  return findings;
}

void add_lint_command(CLI::App& app, Command& chosen) {
  const auto options = std::make_shared<LintOptions>();
  CLI::App* command = app.add_subcommand("lint", "say what speaks against queries for resync, without running them");
  command->add_option("FILE", options->files, "each with one query; - reads standard input")
      ->required()
      ->type_name("FILE.sql");
  command->add_option("--delivery", options->delivery, "the delivery whose keys they are to return")
      ->type_name("DELIVERY");
  command->add_flag("--no-trial", options->no_trial, "do not run them for one row");
  add_database_option(*command, options->database);
  run_as(*command, chosen, [options] { return run_lint(*options); });
}

}  // namespace conveyor
