#include "decide/log_text.hpp"

#include <algorithm>

namespace conveyor {

namespace {

bool control(char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }

// Ends a word, or begins what is not one.
bool special(char c) { return c == ' ' || c == '"' || c == '=' || c == '\\' || control(c); }

}  // namespace

std::string log_text(std::string_view value) {
  if (!value.empty() && std::none_of(value.begin(), value.end(), special)) return std::string(value);
  std::string text = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') text += '\\';
    // A line break and the indentation after it become one blank.
    if (!control(c))
      text += c;
    else if (text.back() != ' ')
      text += ' ';
  }
  return text + '"';
}

}  // namespace conveyor
