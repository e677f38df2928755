#include "cli/configuration.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace conveyor {

namespace {

std::string where(const std::string& path, const toml::node& node) {
  return fmt::format("{}:{}", path, node.source().begin.line);
}

template <typename Value>
Value value_of(const std::string& path, const std::string& name, const toml::node& node, const char* type) {
  if (const auto value = node.value_exact<Value>()) return *value;
  throw UsageError(fmt::format("{}: \"{}\" must be {}", where(path, node), name, type));
}

std::string text_value(const std::string& path, const std::string& name, const toml::node& node) {
  return value_of<std::string>(path, name, node, "a string");
}

std::vector<std::string> list_of(const std::string& path, const std::string& name, const toml::node& node) {
  std::vector<std::string> values;
  const toml::array* array = node.as_array();
  if (!array) throw UsageError(fmt::format("{}: \"{}\" must be an array of strings", where(path, node), name));
  for (const toml::node& item : *array) values.push_back(text_value(path, name, item));
  return values;
}

// The variable that a target's secret is read from: CONVEYOR_<NAME>_PASSWORD.
std::string variable(std::string name, const std::string& kind) {
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? static_cast<char>(std::toupper(c)) : '_';
  return "CONVEYOR_" + name + "_" + kind;
}

void read_secret(const std::string& name, const std::string& kind, const std::string& file) {
  std::ifstream stream(file);
  std::stringstream text;
  if (!stream || !(text << stream.rdbuf()))
    throw UsageError(fmt::format("could not read the file \"{}\" of secret \"{}\"", file, name));
  std::string secret = text.str();
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
  setenv(variable(name, kind).c_str(), secret.c_str(), 0);
}

void read_secrets(const std::string& path, const toml::node& node) {
  const toml::table* secrets = node.as_table();
  if (!secrets) throw UsageError(where(path, node) + ": \"secrets\" must be a table");
  for (const auto& [name, entry] : *secrets) {
    const toml::table* files = entry.as_table();
    if (!files) throw UsageError(fmt::format("{}: secret \"{}\" must be a table", where(path, entry), name.str()));
    for (const auto& [kind, file] : *files) {
      const std::string key(kind.str());
      if (key != "password_file" && key != "api_key_file")
        throw UsageError(
            fmt::format("{}: a secret has \"password_file\" and \"api_key_file\", not \"{}\"", where(path, file), key));
      read_secret(std::string(name.str()), key == "password_file" ? "PASSWORD" : "API_KEY",
                  text_value(path, key, file));
    }
  }
}

}  // namespace

void read_configuration(const std::string& path, Configuration& configuration) {
  toml::table file;
  std::ifstream stream(path);
  if (!stream) throw UsageError(fmt::format("could not open the file \"{}\": {}", path, std::strerror(errno)));
  try {
    file = toml::parse(stream, path);
  } catch (const toml::parse_error& error) {
    throw UsageError(fmt::format("{}:{}: {}", path, error.source().begin.line, std::string(error.description())));
  }
  for (const auto& [key, node] : file) {
    const std::string name(key.str());
    if (name == "databases") {
      configuration.databases = list_of(path, name, node);
    } else if (name == "name") {
      configuration.name = text_value(path, name, node);
    } else if (name == "tags") {
      configuration.tags = list_of(path, name, node);
    } else if (name == "http") {
      configuration.http = text_value(path, name, node);
    } else if (name == "memory") {
      configuration.memory = parse_bytes(text_value(path, name, node));
    } else if (name == "connections") {
      const auto number = value_of<std::int64_t>(path, name, node, "an integer");
      if (number < 4 || number > 1000)
        throw UsageError(fmt::format("{}: \"connections\" must be from 4 to 1000", where(path, node)));
      configuration.connections = static_cast<int>(number);
    } else if (name == "log_level") {
      configuration.log_level = text_value(path, name, node);
    } else if (name == "secrets") {
      read_secrets(path, node);
    } else {
      throw UsageError(fmt::format("{}: there is no setting \"{}\"", where(path, node), name));
    }
  }
}

HttpAddress parse_http_address(const std::string& text) {
  const UsageError wrong(fmt::format("\"{}\" is not ADDRESS:PORT", text));
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) throw wrong;
  HttpAddress address{text.substr(0, colon), 0};
  if (address.host.size() > 2 && address.host.front() == '[' && address.host.back() == ']')
    address.host = address.host.substr(1, address.host.size() - 2);
  if (address.host.empty()) address.host = "127.0.0.1";
  const std::string port = text.substr(colon + 1);
  if (port.empty() || port.size() > 5 ||
      !std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; }))
    throw wrong;
  address.port = std::atoi(port.c_str());
  if (address.port < 1 || address.port > 65535) throw wrong;
  return address;
}

std::size_t parse_bytes(const std::string& text) {
  const UsageError wrong(fmt::format("\"{}\" is not a size such as \"32MB\"", text));
  std::size_t end = 0;
  unsigned long long number = 0;
  if (text.empty() || text[0] < '0' || text[0] > '9') throw wrong;
  try {
    number = std::stoull(text, &end);
  } catch (const std::exception&) {
    throw wrong;
  }
  std::string unit = text.substr(end);
  std::erase(unit, ' ');
  const std::pair<const char*, int> units[] = {{"", 0},    {"B", 0},    {"kB", 10}, {"KiB", 10},
                                               {"MB", 20}, {"MiB", 20}, {"GB", 30}, {"GiB", 30}};
  for (const auto& [name, shift] : units)
    if (unit == name && number <= (SIZE_MAX >> shift)) return static_cast<std::size_t>(number) << shift;
  throw wrong;
}

}  // namespace conveyor
