#include "decide/line_splitter.hpp"

#include <algorithm>

namespace conveyor {

namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
// What may stand around a line beside its text: the mark, and CR.
constexpr std::size_t around = byte_order_mark.size() + 1;

}  // namespace

void LineSplitter::keep(std::string_view bytes) {
  const std::size_t room = longest_ + around - kept_.size();
  kept_.append(bytes.substr(0, std::min(room, bytes.size())));
  too_long_ = too_long_ || bytes.size() > room;
}

LineSplitter::Line LineSplitter::complete() {
  std::string_view text = kept_;
  if (number_ == 1 && text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  if (!too_long_ && text.ends_with('\r')) text.remove_suffix(1);
  const bool too_long = too_long_ || text.size() > longest_;
  return {number_, text.substr(0, longest_), too_long};
}

void LineSplitter::begin_next() {
  ++number_;
  kept_.clear();
  too_long_ = false;
}

bool is_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  for (std::size_t i = 0; i < text.size();) {
    const unsigned char first = byte(i);
    if (first < 0x80) {
      ++i;
      continue;
    }
    const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || text.size() - i < length) return false;
    for (std::size_t j = 1; j < length; ++j)
      if ((byte(i + j) & 0xC0) != 0x80) return false;
    const unsigned char second = byte(i + 1);
    if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) || (first == 0xF0 && second < 0x90) ||
        (first == 0xF4 && second > 0x8F))
      return false;
    i += length;
  }
  return true;
}

}  // namespace conveyor
