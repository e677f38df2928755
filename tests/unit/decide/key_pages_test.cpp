#include "decide/key_pages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conveyor {
namespace {

using testing::ElementsAre;

struct List {
  std::vector<KeyPage> pages;
  std::vector<std::string> bad;  // "line: problem"
  KeyPages keys{[this](const KeyPage& page) { pages.push_back(page); },
                [this](const BadLine& line) { bad.push_back(std::to_string(line.line) + ": " + line.problem); }};

  explicit List(std::string_view text) {
    keys.give(text);
    keys.finish();
  }
};

TEST(KeyPages, RememberWhichLineAKeyCameFrom) {
  const List list("a\n\n b \n[\"1\",\"x\"]");
  ASSERT_EQ(list.pages.size(), 1u);
  EXPECT_THAT(list.pages[0].keys, ElementsAre("a", " b ", "[\"1\",\"x\"]"));
  EXPECT_THAT(list.pages[0].lines, ElementsAre(1, 3, 4));
}

TEST(KeyPages, AreBoundedInKeysAndBytes) {
  std::string text;
  for (std::size_t i = 0; i < KeyPages::most_keys + 1; ++i) text += std::to_string(i) + "\n";
  List many(text);
  ASSERT_EQ(many.pages.size(), 2u);
  EXPECT_EQ(many.pages[0].keys.size(), KeyPages::most_keys);
  EXPECT_THAT(many.pages[1].lines, ElementsAre(KeyPages::most_keys + 1));

  text.clear();
  for (int i = 0; i < 5; ++i) text += std::string(KeyPages::most_bytes / 4, 'x') + "\n";
  const List large(text);
  ASSERT_EQ(large.pages.size(), 2u);
  EXPECT_EQ(large.pages[0].keys.size(), 4u);
}

TEST(KeyPages, RefuseLinesThatAreNoText) {
  const List list(std::string("a\n\xFFz\nb\0c\n", 9) + std::string(KeyPages::longest_line + 1, 'x') + "\nd");
  EXPECT_THAT(list.bad, ElementsAre("2: it is not UTF-8", "3: it has a zero byte", "4: it is longer than 65536 bytes"));
  ASSERT_EQ(list.pages.size(), 1u);
  EXPECT_THAT(list.pages[0].lines, ElementsAre(1, 5));
}

TEST(ShownLine, IsTextOnOneLineAndNotLong) {
  EXPECT_EQ(shown_line("abc \"ü\""), "\"abc \"ü\"\"");
  EXPECT_EQ(shown_line(std::string("a\0\tb", 4)), "\"a\\x00\\x09b\"");
  EXPECT_EQ(shown_line("\xFFz\xC3"), "\"\\xffz\\xc3\"");
  EXPECT_EQ(shown_line(std::string(100, 'x')), '"' + std::string(100, 'x') + '"');
  std::string euros;
  for (int i = 0; i < 40; ++i) euros += "€";
  EXPECT_EQ(shown_line(euros), '"' + euros.substr(0, 99) + "...\"") << "no half of a character";
}

TEST(KeyPages, OfAnEmptyListThereAreNone) { EXPECT_TRUE(List("\n\r\n").pages.empty()); }

}  // namespace
}  // namespace conveyor
