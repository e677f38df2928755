#include "cli/lint_command.hpp"

#include <gtest/gtest.h>

namespace conveyor {
namespace {

TEST(Place, IsCountedInLinesAndCharacters) {
  const std::string text = "SELECT \"ü\"\nFROM x\r\nWHERE y";
  EXPECT_EQ(place_of(text, 1), (Place{1, 1}));
  EXPECT_EQ(place_of(text, 9), (Place{1, 9}));
  EXPECT_EQ(place_of(text, 10), (Place{1, 10})) << "behind the ü, which is two bytes";
  EXPECT_EQ(place_of(text, 12), (Place{2, 1}));
  EXPECT_EQ(place_of(text, 17), (Place{2, 6}));
  EXPECT_EQ(place_of(text, 20), (Place{3, 1}));
  EXPECT_EQ(place_of(text, 1000), (Place{3, 8})) << "the end";
}

}  // namespace
}  // namespace conveyor
