#include "decide/bulk_answer.hpp"

#include <gtest/gtest.h>

namespace conveyor {
namespace {

TEST(BulkAnswer, WithoutErrorsNothingIsKeptOfTheItems) {
  const auto answer = parse_bulk_answer(
      R"({"errors":false,"items":[{"index":{"status":201}},{"delete":{"status":404}},{"index":{"status":200}}]})", 3);
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->all_done);
}

TEST(BulkAnswer, ANumberOfItemsOtherThanAskedIsNoAnswer) {
  const std::string two = R"({"errors":false,"items":[{"index":{"status":201}},{"index":{"status":201}}]})";
  EXPECT_FALSE(parse_bulk_answer(two, 1));
  EXPECT_FALSE(parse_bulk_answer(two, 3));
  EXPECT_FALSE(parse_bulk_answer(R"({"errors":false,"items":[]})", 1));
}

TEST(BulkAnswer, CutAnywhereItIsNoAnswer) {
  const std::string whole = R"({"errors":false,"items":[{"index":{"status":201}},{"index":{"status":200}}]})";
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(parse_bulk_answer(whole.substr(0, size), 2)) << size;
}

TEST(BulkAnswer, ErrorsFalseIsNotBelievedOverAnItemsStatus) {
  const auto answer = parse_bulk_answer(R"({"errors":false,"items":[{"index":{"status":404}}]})", 1);
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->all_done);
  EXPECT_EQ(answer->items[0].status, 404);
}

TEST(BulkAnswer, OtherSpacingAndOrderAreReadToo) {
  const auto answer = parse_bulk_answer("{ \"items\": [ {\"create\": {\"status\": 200} } ], \"errors\": false }", 1);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->items.at(0).status, 200);
}

TEST(BulkAnswer, ErrorsKeepTheirTypeAndReason) {
  const auto answer = parse_bulk_answer(
      R"({"errors":true,"items":[{"index":{"status":201}},{"index":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"no \u0000 good"}}}]})",
      2);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->items[1].type, "mapper_parsing_exception");
  EXPECT_EQ(answer->items[1].reason, "no   good");
}

TEST(BulkAnswer, AReasonComesWithItsCauseUnlessItHasItAlready) {
  const auto answer = parse_bulk_answer(
      R"({"errors":true,"items":[)"
      R"({"index":{"status":400,"error":{"type":"x","reason":"failed to parse","caused_by":{"reason":"no name"}}}},)"
      R"({"index":{"status":400,"error":{"type":"x","reason":"failed: no name","caused_by":{"reason":"no name"}}}}]})",
      2);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->items[0].reason, "failed to parse: no name");
  EXPECT_EQ(answer->items[1].reason, "failed: no name");
}

TEST(BulkAnswer, AReasonIsBoundedAndCutBetweenCharacters) {
  std::string reason;
  for (int i = 0; i < 3000; ++i) reason += "€";
  const auto answer = parse_bulk_answer(
      R"({"errors":true,"items":[{"index":{"status":400,"error":{"type":"x","reason":")" + reason + R"("}}}]})", 1);
  ASSERT_TRUE(answer);
  EXPECT_LT(answer->items[0].reason.size(), 2100u);
  EXPECT_EQ(answer->items[0].reason.substr(0, 3), "€");
  EXPECT_EQ((answer->items[0].reason.size() - std::string(" …").size()) % 3, 0u);
}

TEST(BulkAnswer, WhatIsNoBulkAnswerIsNone) {
  for (const char* text : {"", "{}", "[]", "null", "<html>", R"({"items":[1]})", R"({"items":[{"index":{}}]})",
                           R"({"items":[{"index":{"status":"201"}}]})"})
    EXPECT_FALSE(parse_bulk_answer(text, 1)) << text;
}

TEST(ParseError, ReadsTheServersErrorAndOtherwiseAPieceOfTheText) {
  const AnswerItem error = parse_error(403, R"({"error":{"type":"security_exception","reason":"no"},"status":403})");
  EXPECT_EQ(words(error), "HTTP status 403: security_exception: no");
  EXPECT_EQ(parse_error(405, R"({"error":"Incorrect HTTP method"})").reason, "Incorrect HTTP method");
  EXPECT_EQ(words(parse_error(413, "")), "HTTP status 413");
  const AnswerItem html = parse_error(502, "<html>\n" + std::string(5000, 'x'));
  EXPECT_EQ(html.type, "");
  EXPECT_LE(html.reason.size(), 200u);
  EXPECT_EQ(html.reason.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace conveyor
