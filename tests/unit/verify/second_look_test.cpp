#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "verify/second_look.hpp"

namespace conveyor {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t red = 1, blue = 2;

struct Look {
  Original here;
  Copy there;
};

Original document(std::uint64_t content) { return {true, content, {}}; }
Copy copy(std::int64_t version, std::uint64_t content) { return {true, version, version, content, {}}; }
const Original nothing_here{};
const Copy nothing_there{};

// The verdict on one key after these looks; "open" where there is none.
std::string verdict(const std::vector<Look>& looks) {
  SecondLook second({"k"});
  for (const Look& look : looks) {
    if (look.here.exists) second.original("k", look.here);
    if (look.there.exists) second.copy("k", look.there);
    second.look_over();
    if (const auto verdicts = second.take_verdicts(); !verdicts.empty())
      return verdicts.front().kind.empty() ? "equal" : verdicts.front().kind;
  }
  return "open";
}

TEST(SecondLook, EqualIsDecidedAtOnce) {
  EXPECT_EQ(verdict({{document(red), copy(7, red)}}), "equal");
  EXPECT_EQ(verdict({{nothing_here, nothing_there}}), "equal");
}

TEST(SecondLook, TheSameCopyTwiceAndUnlikeIsDifferent) {
  EXPECT_EQ(verdict({{document(red), copy(7, blue)}}), "open");
  EXPECT_EQ(verdict({{document(red), copy(7, blue)}, {document(red), copy(7, blue)}}), "different");
  EXPECT_EQ(verdict({{nothing_here, copy(7, blue)}, {nothing_here, copy(7, blue)}}), "extra");
}

TEST(SecondLook, ADeliveryBetweenTwoLooksIsNoDifference) {
  // Changed to blue behind the first look's snapshot, delivered, and back to red: another copy each time.
  EXPECT_EQ(verdict({{document(red), copy(7, blue)}, {document(red), copy(8, red)}}), "equal");
  EXPECT_EQ(verdict({{document(red), copy(7, blue)}, {document(blue), copy(8, red)}, {document(red), copy(9, blue)}}),
            "open");
  // The same version, written anew by somebody else.
  Copy rewritten = copy(7, blue);
  rewritten.sequence = 99;
  EXPECT_EQ(verdict({{document(red), copy(7, blue)}, {document(red), rewritten}}), "open");
}

TEST(SecondLook, WhatIsMissingTakesOneLookMore) {
  const Look missing{document(red), nothing_there};
  EXPECT_EQ(verdict({missing, missing}), "open");
  EXPECT_EQ(verdict({missing, missing, missing}), "missing");
  EXPECT_EQ(verdict({missing, {nothing_here, nothing_there}}), "equal");
  EXPECT_EQ(verdict({missing, missing, {document(red), copy(9, blue)}, missing}), "open");
}

TEST(SecondLook, ADocumentInMotionIsNoDifference) {
  SecondLook second({"k"});
  std::vector<Verdict> verdicts;
  int looks = 0;
  for (std::int64_t version = 1; verdicts.empty(); ++version, ++looks) {
    ASSERT_LT(looks, 1000);
    second.original("k", document(red));
    second.copy("k", copy(version, blue));
    second.look_over();
    verdicts = second.take_verdicts();
  }
  EXPECT_GT(looks, 10);
  EXPECT_EQ(verdicts.front().kind, "");
  EXPECT_EQ(second.moving(), 1);
}

TEST(SecondLook, WhatCannotBeDeliveredSaysWhy) {
  const Look refused{{true, 0, "duplicate_key: the view has 2 rows with this key"}, copy(7, blue)};
  SecondLook second({"k"});
  for (int look = 0; look < 2; ++look) {
    second.original("k", refused.here);
    second.copy("k", refused.there);
    second.look_over();
  }
  const auto verdicts = second.take_verdicts();
  ASSERT_EQ(verdicts.size(), 1u);
  EXPECT_EQ(verdicts[0].kind, "different");
  EXPECT_EQ(verdicts[0].version, 7);
  EXPECT_EQ(verdicts[0].detail, "cannot be delivered: duplicate_key: the view has 2 rows with this key");
}

TEST(SecondLook, ACopyThatDeliveriesDoNotReachIsFoundBesideAGoodOne) {
  SecondLook second({"k"});
  for (int look = 0; look < 2; ++look) {
    second.original("k", document(red));
    second.copy("k", {true, 1, 5, red, "elsewhere"});
    second.copy("k", copy(7, red));
    second.look_over();
  }
  const auto verdicts = second.take_verdicts();
  ASSERT_EQ(verdicts.size(), 1u);
  EXPECT_EQ(verdicts[0].kind, "different");
  EXPECT_THAT(verdicts[0].detail, testing::HasSubstr("routing elsewhere"));
}

TEST(SecondLook, EachKeyIsDecidedForItself) {
  SecondLook second({"a", "b", "stranger"});
  second.original("a", document(red));
  second.copy("a", copy(7, red));
  second.original("b", document(red));
  second.copy("b", copy(7, blue));
  second.copy("unasked", copy(7, blue));
  second.look_over();
  EXPECT_THAT(second.open(), ElementsAre("b"));
  second.original("b", document(red));
  second.copy("b", copy(7, blue));
  second.look_over();
  EXPECT_THAT(second.open(), IsEmpty());
}

}  // namespace
}  // namespace conveyor
