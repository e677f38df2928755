#include "decide/json_scan.hpp"

#include <charconv>
#include <cstring>

#include "decide/json.hpp"

namespace conveyor {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

}  // namespace

void JsonScan::blanks() {
  while (at_ < end_ && is_blank(*at_)) ++at_;
}

bool JsonScan::fail() {
  failed_ = true;
  at_ = end_;
  return false;
}

char JsonScan::peek() {
  blanks();
  return at_ < end_ ? *at_ : '\0';
}

bool JsonScan::enter(char bracket) {
  if (peek() != bracket) {
    if (at_ == end_) return fail();
    value();
    return false;
  }
  ++at_;
  first_ = true;
  return true;
}

bool JsonScan::next_element() {
  const char c = peek();
  if (c == '\0') return fail();
  if (c == ']' || c == '}') {
    ++at_;
    first_ = false;
    return false;
  }
  if (!first_) {
    if (c != ',') return fail();
    ++at_;
    if (peek() == '\0') return fail();
  }
  first_ = false;
  return true;
}

bool JsonScan::next_member(std::string_view& name) {
  if (!next_element()) return false;
  if (peek() != '"') return fail();
  const char* begin = at_ + 1;
  skip_string();
  if (failed_) return false;
  name = {begin, static_cast<std::size_t>(at_ - 1 - begin)};
  if (peek() != ':') return fail();
  ++at_;
  return true;
}

// From its quote to behind its end.
void JsonScan::skip_string() {
  ++at_;
  while (true) {
    const void* quote = std::memchr(at_, '"', static_cast<std::size_t>(end_ - at_));
    if (quote == nullptr) {
      fail();
      return;
    }
    const char* const found = static_cast<const char*>(quote);
    // Escaped if an odd number of backslashes stands before it; those before where we began were looked at.
    const char* back = found;
    while (back > at_ && back[-1] == '\\') --back;
    const bool escaped = (found - back) % 2 == 1;
    at_ = found + 1;
    if (!escaped) return;
  }
}

std::string_view JsonScan::value() {
  blanks();
  const char* const begin = at_;
  int depth = 0;
  do {
    if (at_ >= end_) {
      fail();
      return {};
    }
    switch (*at_) {
      case '"':
        skip_string();
        break;
      case '{':
      case '[':
        ++depth;
        ++at_;
        break;
      case '}':
      case ']':
        --depth;
        ++at_;
        break;
      default:
        ++at_;
        // A number or a word: to the end of it, where it is the whole value.
        if (depth == 0)
          while (at_ < end_ && *at_ != ',' && *at_ != '}' && *at_ != ']' && !is_blank(*at_)) ++at_;
    }
    if (depth < 0) fail();
  } while (!failed_ && depth > 0);
  first_ = false;
  return failed_ ? std::string_view() : std::string_view(begin, static_cast<std::size_t>(at_ - begin));
}

std::optional<std::string> JsonScan::string() {
  const bool is_string = peek() == '"';
  const std::string_view text = value();
  if (failed_ || !is_string) return std::nullopt;
  if (text.find('\\') == std::string_view::npos) return std::string(text.substr(1, text.size() - 2));
  return text_of(parse_json(text).get());
}

std::optional<std::int64_t> JsonScan::integer() {
  const std::string_view text = value();
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace conveyor
