#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cli/command.hpp"
#include "postgres/connection.hpp"

namespace conveyor {

// `conveyor lint`: what speaks against the queries in files.
void add_lint_command(CLI::App& app, Command& chosen);

struct Place {
  std::int64_t line = 1, column = 1;
  bool operator==(const Place&) const = default;
};

// Of a character of the text, both counted from 1.
Place place_of(std::string_view text, std::int64_t character);

struct Findings {
  std::string text;  // for people: one finding a line, its remedy below
  bool any = false, error = false;
};

// Asks the server about the query. `name` stands in front of each finding; empty delivery: any key will do.
Findings lint(Connection& connection, const std::string& name, const std::string& query, const std::string& delivery,
              bool trial);

}  // namespace conveyor
