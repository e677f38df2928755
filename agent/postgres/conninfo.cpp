#include "postgres/conninfo.hpp"

#include <libpq-fe.h>

#include <memory>
#include <string_view>

namespace conveyor {

namespace {

using Options = std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)>;

std::string value_of(const Options& options, std::string_view keyword) {
  for (const PQconninfoOption* option = options.get(); option && option->keyword; ++option)
    if (option->keyword == keyword && option->val) return option->val;
  return {};
}

// As libpq tells a connection string from the bare name of a database.
bool is_string(const std::string& conninfo) {
  return conninfo.find('=') != std::string::npos || conninfo.starts_with("postgresql://") ||
         conninfo.starts_with("postgres://");
}

}  // namespace

std::string database_of(const std::string& conninfo) {
  if (!conninfo.empty() && !is_string(conninfo)) return conninfo;
  const Options given(PQconninfoParse(conninfo.c_str(), nullptr), PQconninfoFree);
  for (const char* keyword : {"dbname", "service"})
    if (std::string value = value_of(given, keyword); !value.empty()) return value;
  // The environment, and the service that it names. Without either, libpq takes the user's name.
  const Options defaults(PQconndefaults(), PQconninfoFree);
  if (std::string value = value_of(defaults, "dbname"); !value.empty()) return value;
  for (const Options* options : {&given, &defaults})
    if (std::string value = value_of(*options, "user"); !value.empty()) return value;
  return "?";
}

}  // namespace conveyor
