#include "postgres/arrays.hpp"

#include <stdexcept>

namespace conveyor {

std::string text_array(const std::vector<std::string>& values) {
  std::string literal = "{";
  for (const std::string& value : values) {
    if (literal.size() > 1) literal += ',';
    literal += '"';
    for (char c : value) {
      if (c == '"' || c == '\\') literal += '\\';
      literal += c;
    }
    literal += '"';
  }
  return literal += '}';
}

std::vector<std::string> parse_text_array(std::string_view literal) {
  const auto malformed = [&] { return std::invalid_argument("malformed array \"" + std::string(literal) + "\""); };
  if (literal.size() < 2 || literal.front() != '{' || literal.back() != '}') throw malformed();
  std::vector<std::string> values;
  std::size_t at = 1;
  const std::size_t end = literal.size() - 1;
  while (at < end) {
    std::string value;
    const bool quoted = literal[at] == '"';
    if (quoted) ++at;
    for (;; ++at) {
      if (at >= end) {
        if (quoted) throw malformed();
        break;
      }
      const char c = literal[at];
      if (quoted ? c == '"' : c == ',') break;
      if (!quoted && (c == '{' || c == '}' || c == '"')) throw malformed();
      if (c == '\\' && ++at >= end) throw malformed();
      value += literal[at];
    }
    if (quoted) ++at;
    if (!quoted && (value.empty() || value == "NULL")) throw malformed();
    values.push_back(std::move(value));
    if (at < end && literal[at++] != ',') throw malformed();
    if (at == end && literal[end - 1] == ',' && !quoted) throw malformed();
  }
  return values;
}

}  // namespace conveyor
