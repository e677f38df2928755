#include "postgres/error.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace conveyor {

Trouble classify(std::string_view sqlstate) {
  if (sqlstate == "CV001") return Trouble::lease_lost;
  if (sqlstate == "CV002") return Trouble::protocol;
  if (sqlstate == "57014") return Trouble::timeout;
  if (sqlstate.size() != 5) return Trouble::transient;
  const std::string_view group = sqlstate.substr(0, 2);
  // Raised by the view's expressions or by functions that it calls. XX: internal errors and corrupted rows are met
  // while one row is computed, so bisecting finds it.
  for (const char* data : {"20", "21", "22", "23", "27", "2F", "34", "38", "39", "54", "P0", "XX"})
    if (group == data) return Trouble::data;
  for (const char* definition : {"0A", "0L", "0P", "26", "2B", "3D", "3F", "42", "44", "CV", "HV"})
    if (group == definition) return Trouble::definition;
  return Trouble::transient;
}

namespace {

std::string identifier(std::string_view name) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  const auto plain_or_digit = [&](char c) { return plain(c) || (c >= '0' && c <= '9'); };
  if (!name.empty() && plain(name[0]) && std::all_of(name.begin(), name.end(), plain_or_digit))
    return std::string(name);
  std::string quoted = "\"";
  for (const char c : name) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

}  // namespace

std::string first_remedy(std::string_view sqlstate, std::string_view role, std::string_view user) {
  if (sqlstate == "3F000" || sqlstate == "42P01") return "Run CREATE EXTENSION pg_conveyor in this database.";
  if (sqlstate == "42883") return "The extension here is another version: run ALTER EXTENSION pg_conveyor UPDATE.";
  if (sqlstate == "42501") return fmt::format("Run GRANT {} TO {}.", role, identifier(user));
  return {};
}

}  // namespace conveyor
