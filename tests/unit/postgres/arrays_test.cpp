#include "postgres/arrays.hpp"

#include <gmock/gmock.h>

#include <stdexcept>

namespace conveyor {
namespace {

using testing::ElementsAre;

TEST(TextArray, ComesBackAsItWas) {
  for (const std::vector<std::string>& values : std::vector<std::vector<std::string>>{
           {}, {""}, {"a", "b"}, {"with \"quotes\" and \\", "{}", ",", "NULL", " blank ", "ü\n"}})
    EXPECT_EQ(parse_text_array(text_array(values)), values);
}

TEST(TextArray, ReadsWhatPostgreSQLLeavesUnquoted) {
  EXPECT_THAT(parse_text_array("{1,b c,\"d,e\"}"), ElementsAre("1", "b c", "d,e"));
}

TEST(TextArray, RefusesWhatIsNone) {
  for (const char* text : {"", "{", "a", "{a", "{\"a}", "{a,}", "{NULL}", "{{a}}"})
    EXPECT_THROW(parse_text_array(text), std::invalid_argument) << text;
}

}  // namespace
}  // namespace conveyor
