#include "decide/line_splitter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace conveyor {
namespace {

using testing::ElementsAre;

// "number:text", with a mark where the line is too long. The text is given in pieces of so many bytes.
std::vector<std::string> lines(std::string_view text, std::size_t piece = 1000, std::size_t longest = 10) {
  std::vector<std::string> found;
  LineSplitter splitter(longest);
  const auto take = [&](const LineSplitter::Line& line) {
    found.push_back(std::to_string(line.number) + ":" + std::string(line.text) + (line.too_long ? "…" : ""));
  };
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) splitter.give(text.substr(0, piece), take);
  splitter.finish(take);
  return found;
}

TEST(LineSplitter, FindsLinesHoweverTheBytesCome) {
  for (const std::size_t piece : {1, 2, 3, 1000}) {
    EXPECT_THAT(lines("a\nbc\n\nd", piece), ElementsAre("1:a", "2:bc", "3:", "4:d")) << piece;
    EXPECT_THAT(lines("a\r\nb\rc\r\n", piece), ElementsAre("1:a", "2:b\rc")) << piece;
  }
}

TEST(LineSplitter, LeavesOutAByteOrderMarkInFront) {
  for (const std::size_t piece : {1, 2, 1000}) {
    EXPECT_THAT(lines("\xEF\xBB\xBF"
                      "1\n\xEF\xBB\xBF"
                      "2\n",
                      piece),
                ElementsAre("1:1",
                            "2:\xEF\xBB\xBF"
                            "2"))
        << piece;
    EXPECT_THAT(lines("\xEF\xBB\xBF", piece), ElementsAre("1:")) << piece;
  }
}

TEST(LineSplitter, KeepsOnlyTheBeginningOfALineThatIsTooLong) {
  for (const std::size_t piece : {1, 7, 1000}) {
    EXPECT_THAT(lines("0123456789\n0123456789x\n1\n", piece), ElementsAre("1:0123456789", "2:0123456789…", "3:1"))
        << piece;
    EXPECT_THAT(lines("0123456789\r\n" + std::string(100'000, 'x'), piece),
                ElementsAre("1:0123456789", "2:xxxxxxxxxx…"))
        << piece;
  }
}

TEST(LineSplitter, OfNothingThereAreNoLines) { EXPECT_THAT(lines(""), ElementsAre()); }

TEST(Utf8, IsTold) {
  for (const char* good : {"", "a", "ü", "€", "\xF0\x9F\x98\x80", "\xEF\xBF\xBF", "\xF4\x8F\xBF\xBF", "aüb"})
    EXPECT_TRUE(is_utf8(good)) << good;
  for (const char* bad : {"\x80", "\xC3", "\xC3(", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF0\x80\x80\x80",
                          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "a\xE2\x82", "\xFC"})
    EXPECT_FALSE(is_utf8(bad)) << bad;
}

}  // namespace
}  // namespace conveyor
