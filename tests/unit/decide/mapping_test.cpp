#include "decide/mapping.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "decide/json.hpp"

namespace conveyor {
namespace {

const json_t* at(const json_t* json, std::initializer_list<const char*> path) {
  for (const char* key : path) json = json_object_get(json, key);
  return json;
}

IndexPlan plan(const std::vector<Column>& columns, const std::string& options, bool filling = true) {
  return plan_index(columns, options, {"orders", "orders-000001-write"}, "db/1", "orders_to_search", filling);
}

TEST(Mapping, EveryColumnTypeHasItsField) {
  const std::vector<std::pair<const char*, const char*>> types = {
      {"text", "text"},        {"varchar", "text"},     {"citext", "text"},      {"bool", "boolean"},
      {"int2", "short"},       {"int4", "integer"},     {"int8", "long"},        {"float4", "float"},
      {"float8", "double"},    {"numeric", "double"},   {"date", "date"},        {"timestamp", "date"},
      {"timestamptz", "date"}, {"uuid", "keyword"},     {"enum", "keyword"},     {"jsonb", "object"},
      {"json", "object"},      {"composite", "object"}, {"bytea", "keyword"},    {"inet", "ip"},
      {"cidr", "ip_range"},    {"interval", "keyword"}, {"tsvector", "keyword"}, {"nobody_knows", "keyword"}};
  for (const auto& [column, field] : types)
    EXPECT_EQ(text_of(parse_json(column_mapping({"c", column, false})).get(), "type"), field) << column;
}

TEST(Mapping, AnArrayIsMappedAsItsElement) {
  EXPECT_EQ(column_mapping({"c", "int8", true}), column_mapping({"c", "int8", false}));
}

TEST(Mapping, TextCanBeSearchedAndSortedAndByteaOnlyKept) {
  const Json text = parse_json(column_mapping({"c", "text", false}));
  EXPECT_EQ(json_integer_value(at(text.get(), {"fields", "keyword", "ignore_above"})), 8191);
  const Json bytes = parse_json(column_mapping({"c", "bytea", false}));
  EXPECT_TRUE(json_is_false(json_object_get(bytes.get(), "index")));
}

TEST(IndexPlan, IsMarkedAsOursAndRemembersDeletesForAnHour) {
  const Json create = parse_json(plan({{"id", "int8", false}}, "").create);
  EXPECT_EQ(text_of(at(create.get(), {"mappings", "_meta", "pg_conveyor"}), "origin"), "db/1");
  EXPECT_EQ(text_of(at(create.get(), {"settings"}), "index.gc_deletes"), "1h");
  EXPECT_TRUE(json_is_object(at(create.get(), {"aliases", "orders"})));
}

TEST(IndexPlan, WhileFillingThereIsNoRefreshAndWhatWasWishedComesBack) {
  const IndexPlan filling =
      plan({}, R"({"settings":{"index":{"refresh_interval":"5s","auto_expand_replicas":"0-1"},"number_of_shards":3}})");
  const Json create = parse_json(filling.create);
  EXPECT_EQ(text_of(at(create.get(), {"settings"}), "index.refresh_interval"), "-1");
  EXPECT_EQ(text_of(at(create.get(), {"settings"}), "index.number_of_replicas"), "0");
  EXPECT_EQ(at(create.get(), {"settings", "index.auto_expand_replicas"}), nullptr);
  EXPECT_EQ(json_integer_value(at(create.get(), {"settings", "index.number_of_shards"})), 3);
  const Json restore = parse_json(filling.restore);
  EXPECT_EQ(text_of(restore.get(), "index.refresh_interval"), "5s");
  EXPECT_EQ(text_of(restore.get(), "index.auto_expand_replicas"), "0-1");
  EXPECT_TRUE(json_is_null(json_object_get(restore.get(), "index.number_of_replicas"))) << "the server's default";

  const IndexPlan live = plan({}, R"({"settings":{"index.refresh_interval":"5s"}})", false);
  EXPECT_EQ(text_of(at(parse_json(live.create).get(), {"settings"}), "index.refresh_interval"), "5s");
  EXPECT_EQ(live.restore, "{}");
}

TEST(IndexPlan, OptionsAddFieldsAndReplaceThoseOfAnotherType) {
  const IndexPlan planned =
      plan({{"code", "text", false}, {"note", "text", false}},
           R"({"mappings":{"dynamic":"strict","_meta":{"pg_conveyor":{"origin":"stolen"},"mine":1},
                                     "properties":{"code":{"type":"keyword"},"note":{"fields":{"raw":{"type":"keyword"}}},"extra":{"type":"ip"}}}})");
  const Json create = parse_json(planned.create);
  const json_t* mappings = at(create.get(), {"mappings"});
  EXPECT_EQ(to_text(at(mappings, {"properties", "code"})), R"({"type":"keyword"})");
  EXPECT_EQ(text_of(at(mappings, {"properties", "note"}), "type"), "text");
  EXPECT_TRUE(at(mappings, {"properties", "note", "fields", "keyword"}));
  EXPECT_TRUE(at(mappings, {"properties", "note", "fields", "raw"}));
  EXPECT_TRUE(at(mappings, {"properties", "extra"}));
  EXPECT_EQ(text_of(mappings, "dynamic"), "strict");
  EXPECT_EQ(text_of(at(mappings, {"_meta", "pg_conveyor"}), "origin"), "db/1")
      << "the mark is not the options' to change";
  EXPECT_EQ(json_integer_value(at(mappings, {"_meta", "mine"})), 1);
}

TEST(IndexPlan, OptionsOfAnotherFormAreRefusedByName) {
  for (const char* options :
       {R"([])", R"({"settings":3})", R"({"mappings":"x"})", R"({"mappings":{"_meta":1}})", "{"}) {
    try {
      plan({}, options);
      FAIL() << options;
    } catch (const std::invalid_argument& refused) {
      EXPECT_NE(std::string(refused.what()).find("option index"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace conveyor
