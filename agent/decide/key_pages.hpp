// A list of ids, one a line, as pages that are bounded in keys and bytes. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "decide/line_splitter.hpp"

namespace conveyor {

struct KeyPage {
  std::vector<std::string> keys;
  std::vector<std::uint64_t> lines;  // parallel to `keys`
  std::size_t bytes = 0;
};

// A line that is no id, for reasons that can be seen without the database.
struct BadLine {
  std::uint64_t line;
  std::string text;
  std::string problem;
};

// A line on one line, in UTF-8 and not longer than people care for, whatever is in it.
std::string shown_line(std::string_view text);

class KeyPages {
 public:
  using Store = std::function<void(const KeyPage&)>;
  using Refuse = std::function<void(const BadLine&)>;

  static constexpr std::size_t most_keys = 1000;
  static constexpr std::size_t most_bytes = 256u << 10;
  static constexpr std::size_t longest_line = 64u << 10;

  KeyPages(Store store, Refuse refuse) : store_(std::move(store)), refuse_(std::move(refuse)) {}

  // Empty lines are no ids and no mistake.
  void give(std::string_view bytes);
  void finish();

 private:
  void take(const LineSplitter::Line& line);
  void end_page();

  Store store_;
  Refuse refuse_;
  LineSplitter lines_{longest_line};
  KeyPage page_;
};

}  // namespace conveyor
