#include "decide/key_pages.hpp"

#include <fmt/format.h>

#include <utility>

namespace conveyor {

namespace {

constexpr std::size_t longest_shown = 100;

}  // namespace

std::string shown_line(std::string_view text) {
  const bool cut = text.size() > longest_shown;
  const bool utf8 = is_utf8(text);
  text = text.substr(0, longest_shown);
  // Not in the middle of a character: one has four bytes at most.
  while (cut && utf8 && !is_utf8(text)) text.remove_suffix(1);
  std::string shown = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F || (byte >= 0x80 && !utf8))
      shown += fmt::format("\\x{:02x}", byte);
    else
      shown += c;
  }
  return shown + (cut ? "...\"" : "\"");
}

void KeyPages::give(std::string_view bytes) {
  lines_.give(bytes, [this](const LineSplitter::Line& line) { take(line); });
}

void KeyPages::finish() {
  lines_.finish([this](const LineSplitter::Line& line) { take(line); });
  end_page();
}

void KeyPages::take(const LineSplitter::Line& line) {
  if (line.text.empty()) return;
  const auto refuse = [&](std::string problem) { refuse_({line.number, std::string(line.text), std::move(problem)}); };
  if (line.too_long) return refuse(fmt::format("it is longer than {} bytes", longest_line));
  if (line.text.find('\0') != std::string_view::npos) return refuse("it has a zero byte");
  if (!is_utf8(line.text)) return refuse("it is not UTF-8");
  page_.keys.emplace_back(line.text);
  page_.lines.push_back(line.number);
  page_.bytes += line.text.size();
  if (page_.keys.size() >= most_keys || page_.bytes >= most_bytes) end_page();
}

void KeyPages::end_page() {
  if (!page_.keys.empty()) store_(std::exchange(page_, {}));
}

}  // namespace conveyor
