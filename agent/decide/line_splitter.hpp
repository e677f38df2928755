// Lines out of bytes that come in pieces of any size. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace conveyor {

// A line ends with LF or CRLF, the last one also with the text. A byte order mark in front of the first is no part of
// it.
class LineSplitter {
 public:
  struct Line {
    std::uint64_t number;   // from 1
    std::string_view text;  // of a line that is too long: its beginning
    bool too_long;
  };

  // No more than `longest` bytes of a line are kept.
  explicit LineSplitter(std::size_t longest) : longest_(longest) {}

  // Calls take(Line) for every line that ends within these bytes.
  template <typename Take>
  void give(std::string_view bytes, Take take) {
    for (std::size_t end; (end = bytes.find('\n')) != std::string_view::npos; bytes.remove_prefix(end + 1)) {
      keep(bytes.substr(0, end));
      take(complete());
      begin_next();
    }
    keep(bytes);
  }

  // Calls take(Line) for what stands behind the last end of a line, if anything does.
  template <typename Take>
  void finish(Take take) {
    if (!kept_.empty()) take(complete());
  }

 private:
  void keep(std::string_view bytes);
  Line complete();
  void begin_next();

  const std::size_t longest_;
  std::uint64_t number_ = 1;
  std::string kept_;
  bool too_long_ = false;
};

// Every byte belongs to a character: no surrogates, nothing written longer than it need be, nothing beyond Unicode.
bool is_utf8(std::string_view text);

}  // namespace conveyor
