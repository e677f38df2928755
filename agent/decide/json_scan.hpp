// Walks through JSON text without making objects of it: for large answers of which little is wanted, and some of that
// as the bytes that it was sent in.
//
// The text is what a server wrote: what is no JSON is noticed where it matters (an end that is missing, a value where
// there is none), not everywhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace conveyor {

class JsonScan {
 public:
  explicit JsonScan(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  bool failed() const { return failed_; }

  // The first character of the next value; NUL at the end of the text.
  char peek();

  // Enters an object, and gives the name of its next member, whose value must be read or skipped before the next call.
  // False behind the last one. `name` is as it is written: without its quotes, escapes and all.
  bool enter_object() { return enter('{'); }
  bool next_member(std::string_view& name);
  // The same for an array; true: a value follows.
  bool enter_array() { return enter('['); }
  bool next_element();

  // The next value, skipped; its bytes.
  std::string_view value();
  // The next value where it is a string, unescaped, or a whole number; any other is skipped and nothing.
  std::optional<std::string> string();
  std::optional<std::int64_t> integer();
  bool boolean() { return value() == "true"; }

 private:
  bool enter(char bracket);
  void blanks();
  bool fail();
  void skip_string();

  const char* at_;
  const char* end_;
  bool first_ = false;  // behind the bracket that was just entered
  bool failed_ = false;
};

}  // namespace conveyor
