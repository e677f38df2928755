#include "decide/bulk_body.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "decide/json.hpp"

namespace conveyor {
namespace {

TEST(BulkBody, HasAnActionLineAndADocumentForEachIndexAndAnActionLineForEachDelete) {
  Body body;
  append_index(body, "a1", 42, R"({"x":1})");
  append_delete(body, "b2", 43);
  EXPECT_EQ(body.wire, R"({"index":{"_id":"a1","version":42,"version_type":"external"}})"
                       "\n"
                       R"({"x":1})"
                       "\n"
                       R"({"delete":{"_id":"b2","version":43,"version_type":"external"}})"
                       "\n");
  ASSERT_EQ(body.items.size(), 2u);
  EXPECT_EQ(body.key(1), "b2");
  EXPECT_TRUE(body.items[1].remove);
  EXPECT_EQ(body.items[0].wire_size + body.items[1].wire_size, body.wire.size());
  EXPECT_EQ(body.items[1].wire_at, body.items[0].wire_size);
}

TEST(BulkBody, AnyKeySurvivesTheJsonOfItsActionLine) {
  std::string every;
  for (int c = 1; c < 128; ++c) every += static_cast<char>(c);
  for (const std::string& key :
       {every, std::string("[\"a\",\"b\\\\\"]"), std::string("Ω 𝄞 …"), std::string("\"\"\""), std::string("\n")}) {
    Body body;
    append_delete(body, key, 1);
    ASSERT_EQ(std::count(body.wire.begin(), body.wire.end(), '\n'), 1) << key;
    const Json action = parse_json(body.wire);
    EXPECT_EQ(text_of(json_object_get(action.get(), "delete"), "_id"), key);
  }
}

TEST(BulkBody, VersionsOfAllSizesAreWrittenExactly) {
  for (const std::uint64_t version : {std::uint64_t{0}, std::uint64_t{1} << 48, (std::uint64_t{1} << 63) - 1}) {
    Body body;
    append_delete(body, "k", version);
    EXPECT_NE(body.wire.find("\"version\":" + std::to_string(version) + ","), std::string::npos);
  }
}

TEST(BulkBody, ALineBreakBetweenTokensDoesNotEndTheDocument) {
  Body body;
  append_index(body, "k\\n", 1, "{\"a\":\n{\"b\":\"x\\ny\"}\n}");
  EXPECT_EQ(std::count(body.wire.begin(), body.wire.end(), '\n'), 2);
  const std::string document = body.wire.substr(body.wire.find('\n') + 1);
  EXPECT_EQ(text_of(json_object_get(parse_json(document).get(), "a"), "b"), "x\ny");
}

TEST(BulkBody, AKeyThatNoServerTakesHasNoBytesAndIsADeadLetter) {
  Body body;
  append_index(body, std::string(max_id_bytes, 'k'), 1, "{}");
  append_index(body, std::string(max_id_bytes + 1, 'k'), 1, "{}");
  append_index(body, "", 1, "{}");
  append_delete(body, std::string(600, 'k'), 1);
  EXPECT_GT(body.items[0].wire_size, 0u);
  for (const std::size_t i : {1, 2, 3}) EXPECT_EQ(body.items[i].wire_size, 0u);
  EXPECT_EQ(unsendable(body, 1).type, "key_too_long");
  EXPECT_EQ(unsendable(body, 1).outcome, Outcome::dead_letter);
  EXPECT_EQ(unsendable(body, 2).type, "key_empty");
  EXPECT_EQ(unsendable(body, 3).outcome, Outcome::done) << "what could never be indexed need not be deleted";
}

}  // namespace
}  // namespace conveyor
