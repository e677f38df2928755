#include <gtest/gtest.h>

#include <vector>

#include "target/stored_documents.hpp"

namespace conveyor {
namespace {

std::vector<StoredDocument> documents_of(std::string_view text, SearchAnswer& answer) {
  std::vector<StoredDocument> found;
  answer = read_search_answer(text, [&](const StoredDocument& document) { found.push_back(document); });
  return found;
}

TEST(SearchAnswer, GivesEachDocumentWithTheBytesThatWereSent) {
  const std::string text =
      R"({"_scroll_id":"abc==","took":5,"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0},)"
      R"("hits":{"total":{"value":2,"relation":"eq"},"max_score":null,"hits":[)"
      R"({"_index":"i","_id":"a\"b","_version":12,"_seq_no":3,"_primary_term":1,"_score":null,"_source":{"id" : 1.00, "x":"\"}"},"sort":[0]},)"
      R"({"_index":"i","_id":"2","_score":null,"_routing":"r","_source":{}}]}})";
  SearchAnswer answer;
  const auto found = documents_of(text, answer);
  EXPECT_EQ(answer.problem, "");
  EXPECT_EQ(answer.scroll, "abc==");
  EXPECT_EQ(answer.hits, 2);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].id, "a\"b");
  EXPECT_EQ(found[0].version, 12);
  EXPECT_EQ(found[0].sequence, 3);
  EXPECT_EQ(found[0].routing, "");
  EXPECT_EQ(found[0].source, R"({"id" : 1.00, "x":"\"}"})");
  EXPECT_EQ(found[1].id, "2");
  EXPECT_EQ(found[1].routing, "r");
}

TEST(SearchAnswer, IsNotBelievedWhereAShardIsMissing) {
  SearchAnswer answer;
  documents_of(R"({"timed_out":false,"_shards":{"failed":1},"hits":{"hits":[]}})", answer);
  EXPECT_EQ(answer.problem, "not every shard answered");
  documents_of(R"({"timed_out":true,"_shards":{"failed":0},"hits":{"hits":[]}})", answer);
  EXPECT_EQ(answer.problem, "not every shard answered");
  documents_of(R"({"timed_out":false,"hits":{"hits":[]}})", answer);
  EXPECT_EQ(answer.problem, "not every shard answered");
}

TEST(SearchAnswer, IsNotBelievedWhenItIsCutOff) {
  const std::string text =
      R"({"timed_out":false,"_shards":{"failed":0},"hits":{"hits":[{"_id":"1","_source":{"a":1}}]}})";
  for (std::size_t size = 0; size < text.size(); ++size) {
    SearchAnswer answer;
    documents_of(std::string_view(text).substr(0, size), answer);
    EXPECT_NE(answer.problem, "") << text.substr(0, size);
  }
}

TEST(SearchAnswer, IsNotBelievedWhenItIsSomethingElse) {
  SearchAnswer answer;
  for (const char* text : {"", "[]", "<html>", R"({"error":"x"})",
                           R"({"timed_out":false,"_shards":{"failed":0},"hits":{"hits":[{"x":1}]}})"}) {
    documents_of(text, answer);
    EXPECT_NE(answer.problem, "") << text;
  }
}

}  // namespace
}  // namespace conveyor
