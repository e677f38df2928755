#include <gtest/gtest.h>

#include <vector>

#include "decide/json_scan.hpp"

namespace conveyor {
namespace {

TEST(JsonScan, ReadsMembersAndSkipsWhatIsNotWanted) {
  JsonScan scan(R"( {"a" : {"x":[1,{"y":"}"}]}, "b":-12 ,"c":"t\"e\\xt","d":true, "e":[]} )");
  std::string_view name;
  ASSERT_TRUE(scan.enter_object());
  ASSERT_TRUE(scan.next_member(name));
  EXPECT_EQ(name, "a");
  EXPECT_EQ(scan.value(), R"({"x":[1,{"y":"}"}]})");
  ASSERT_TRUE(scan.next_member(name));
  EXPECT_EQ(scan.integer(), -12);
  ASSERT_TRUE(scan.next_member(name));
  EXPECT_EQ(scan.string(), "t\"e\\xt");
  ASSERT_TRUE(scan.next_member(name));
  EXPECT_TRUE(scan.boolean());
  ASSERT_TRUE(scan.next_member(name));
  ASSERT_TRUE(scan.enter_array());
  EXPECT_FALSE(scan.next_element());
  EXPECT_FALSE(scan.next_member(name));
  EXPECT_FALSE(scan.failed());
}

TEST(JsonScan, AnEscapedQuoteDoesNotEndAString) {
  for (const char* text : {R"("a\"b")", R"("a\\\"b")", R"("\\")", R"("")", R"("\\\\\"")"}) {
    JsonScan scan(text);
    EXPECT_EQ(scan.value(), text);
    EXPECT_FALSE(scan.failed()) << text;
  }
}

TEST(JsonScan, ElementsOfAnArrayComeOneByOne) {
  JsonScan scan(R"([1, "two",[3],{"four":4}])");
  std::vector<std::string> found;
  ASSERT_TRUE(scan.enter_array());
  while (scan.next_element()) found.emplace_back(scan.value());
  EXPECT_EQ(found, (std::vector<std::string>{"1", "\"two\"", "[3]", "{\"four\":4}"}));
  EXPECT_FALSE(scan.failed());
}

TEST(JsonScan, WhatIsEnteredAndIsNoObjectIsSkipped) {
  JsonScan scan(R"({"a":null,"b":2})");
  std::string_view name;
  ASSERT_TRUE(scan.enter_object());
  ASSERT_TRUE(scan.next_member(name));
  EXPECT_FALSE(scan.enter_object());
  ASSERT_TRUE(scan.next_member(name));
  EXPECT_EQ(name, "b");
  EXPECT_EQ(scan.integer(), 2);
}

TEST(JsonScan, EveryTextThatIsCutOffIsNoticed) {
  const std::string whole = R"({"a":[1,"x\"y",{"b":null}],"c":"d"})";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    JsonScan scan(std::string_view(whole).substr(0, size));
    std::string_view name;
    if (scan.enter_object())
      while (scan.next_member(name)) scan.value();
    EXPECT_TRUE(scan.failed()) << whole.substr(0, size);
  }
}

TEST(JsonScan, ANumberThatIsNotWholeIsNoInteger) {
  EXPECT_EQ(JsonScan("1.5").integer(), std::nullopt);
  EXPECT_EQ(JsonScan("\"1\"").integer(), std::nullopt);
  EXPECT_EQ(JsonScan("1").string(), std::nullopt);
}

}  // namespace
}  // namespace conveyor
