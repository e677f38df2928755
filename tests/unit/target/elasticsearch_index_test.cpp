#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <set>

#include "decide/json.hpp"
#include "support/fake_server.hpp"
#include "target/target.hpp"

namespace conveyor {
namespace {

using test::FakeServer;
using test::Received;
using test::Reply;

// As much of a cluster as making, looking at and removing indices needs.
class FakeCluster {
 public:
  Reply operator()(const Received& request) {
    const std::lock_guard lock(mutex_);
    const std::string path = request.path.substr(0, request.path.find('?'));
    const std::string name = path.substr(1, path.find('/', 1) - 1);
    const std::string verb = path.find('/', 1) == std::string::npos ? "" : path.substr(path.find('/', 1));
    if (path == "/_aliases") {
      const Json body = parse_json(request.body);
      std::size_t i;
      const json_t* action;
      json_array_foreach(json_object_get(body.get(), "actions"), i, action) {
        const json_t* add = json_object_get(action, "add");
        const json_t* remove = json_object_get(action, "remove");
        if (remove && aliases[text_of(remove, "alias")] == text_of(remove, "index"))
          aliases.erase(text_of(remove, "alias"));
        if (add) aliases[text_of(add, "alias")] = text_of(add, "index");
        if (add && json_object_get(add, "filter")) filters.insert(text_of(add, "alias"));
      }
      ++alias_changes;
      return {.body = R"({"acknowledged":true})"};
    }
    if (path == "/_search/scroll") return request.method == "DELETE" ? Reply{} : scroll();
    if (request.method == "PUT" && verb.empty()) return create(name, request.body);
    const std::string index = indices.contains(name) ? name : aliases.contains(name) ? aliases[name] : "";
    if (index.empty())
      return {.status = 404,
              .body = R"({"error":{"type":"index_not_found_exception","reason":"no such index"},"status":404})"};
    if (request.method == "DELETE") indices.erase(index);
    if (verb == "/_alias") return {.body = "{\"" + index + "\":{\"aliases\":{}}}"};
    if (request.method == "GET" && verb.empty()) return look(index);
    if (verb == "/_count") return {.body = R"({"count":)" + std::to_string(documents) + R"(,"_shards":{"failed":0}})"};
    if (verb == "/_settings" && request.method == "GET")
      return {.body = "{\"" + index + R"(":{"settings":{"index":{"number_of_shards":"2","number_of_replicas":"1"}}}})"};
    if (verb == "/_settings") settings = request.body;
    if (verb == "/_recovery") return {.body = moving ? "{\"" + index + R"(":{"shards":[{}]}})" : "{}"};
    if (verb == "/_refresh") {
      ++refreshes;
      return {.body = R"({"_shards":{"total":4,"failed":0,"successful":)" + std::to_string(active[index]) + "}}"};
    }
    if (verb == "/_mget") return mget(request.body);
    if (verb == "/_search") return scroll();
    return {};
  }

  std::map<std::string, std::string> indices;  // name → mappings
  std::map<std::string, std::string> aliases;
  std::string settings, created;
  std::string uuid = "u1";
  int documents = 0, refreshes = 0, listed = 0, failed_shards = 0;
  std::map<std::string, int> active;  // shards and their copies, by index
  std::set<std::string> ids, filters;
  int alias_changes = 0;
  bool moving = false;
  bool forgets = false;
  int forgetting = 404;  // the status that it has for it

 private:
  Reply create(const std::string& name, const std::string& body) {
    if (indices.contains(name))
      return {.status = 400,
              .body = R"({"error":{"type":"resource_already_exists_exception","reason":"there"},"status":400})"};
    const Json json = parse_json(body);
    indices[name] = to_text(json_object_get(json.get(), "mappings"));
    const char* alias;
    json_t* value;
    json_object_foreach(json_object_get(json.get(), "aliases"), alias, value) aliases[alias] = name;
    created = body;
    return {};
  }

  Reply look(const std::string& index) {
    std::string names;
    for (const auto& [alias, of] : aliases)
      if (of == index)
        names += (names.empty() ? "\"" : ",\"") + alias + (filters.contains(alias) ? R"(":{"filter":{}})" : "\":{}");
    return {.body = "{\"" + index + "\":{\"aliases\":{" + names + "},\"mappings\":" + indices[index] +
                    R"(,"settings":{"index":{"uuid":")" + uuid + "\"}}}}"};
  }

  Reply mget(const std::string& body) {
    const Json json = parse_json(body);
    std::string docs;
    std::size_t i;
    const json_t* id;
    json_array_foreach(json_object_get(json.get(), "ids"), i, id) docs +=
        (docs.empty() ? "" : ",") + std::string(ids.contains(text_of(id)) ? R"({"found":true})" : R"({"found":false})");
    return {.body = "{\"docs\":[" + docs + "]}"};
  }

  Reply scroll() {
    if (forgets && listed > 0)
      return {.status = forgetting,
              .body = R"({"error":{"type":"search_phase_execution_exception","reason":"all shards failed"}})"};
    std::string hits;
    for (int i = 0; i < 5000 && listed < documents; ++i)
      hits += (hits.empty() ? "" : ",") + ("{\"_id\":\"" + std::to_string(listed++) + "\"}");
    return {.body = R"({"_scroll_id":"s1","timed_out":false,"_shards":{"failed":)" + std::to_string(failed_shards) +
                    R"(},"hits":{"hits":[)" + hits + "]}}"};
  }

  std::mutex mutex_;
};

class ElasticsearchIndexTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = make_target("elasticsearch", R"({"url":")" + server_.url() + R"("})", "search");
    ASSERT_TRUE(made);
    target_ = std::move(*made.value);
  }
  Result<IndexState> prepare(const IndexState& stored = {}, bool will_fill = true) {
    return target_->prepare(destination_, stored, will_fill);
  }
  void expect_hold(const Result<IndexState>& result, const std::string& object) {
    ASSERT_FALSE(result) << *result.value;
    EXPECT_EQ(result.failure.outcome, Outcome::hold);
    EXPECT_NE(result.failure.reason.find(object), std::string::npos) << result.failure.reason;
    EXPECT_NE(result.failure.reason.find("conveyor."), std::string::npos) << result.failure.reason;
  }

  FakeCluster cluster_;
  FakeServer server_{[this](const Received& request) { return cluster_(request); }};
  Destination destination_{
      "o2s", "Orders", "", R"({"index":{"settings":{"refresh_interval":"5s"}}})", {{"id", "int8", false}}, "db/1"};
  std::unique_ptr<Target> target_;
};

TEST_F(ElasticsearchIndexTest, MakesAnIndexUnderTheAliasAndGivesItsSettingsBackAfterTheFill) {
  const auto state = prepare();
  ASSERT_TRUE(state) << state.failure.reason;
  EXPECT_EQ(destination_.index, "orders-000001") << "an index has no capitals, an alias may";
  EXPECT_EQ(cluster_.aliases["Orders"], "orders-000001");
  EXPECT_NE(cluster_.created.find(R"("index.refresh_interval":"-1")"), std::string::npos);

  const auto filled = target_->finish_fill(destination_, *state.value);
  ASSERT_TRUE(filled) << filled.failure.reason;
  EXPECT_NE(cluster_.settings.find(R"("index.refresh_interval":"5s")"), std::string::npos);
  EXPECT_EQ(cluster_.refreshes, 1);
  EXPECT_EQ(*target_->finish_fill(destination_, *filled.value).value, *filled.value);
  // After a crash between the request and storing its result.
  EXPECT_EQ(*target_->finish_fill(destination_, *state.value).value, *filled.value);
  EXPECT_EQ(*prepare(*filled.value).value, *filled.value);
}

TEST_F(ElasticsearchIndexTest, LiveOnlyNeedsNoFill) {
  const auto state = prepare({}, false);
  ASSERT_TRUE(state);
  EXPECT_NE(cluster_.created.find(R"("index.refresh_interval":"5s")"), std::string::npos);
  EXPECT_NE(state.value->find(R"("filling":false)"), std::string::npos);
}

TEST_F(ElasticsearchIndexTest, NothingThatIsNotOursIsTouched) {
  cluster_.aliases["Orders"] = "theirs";
  cluster_.indices["theirs"] = "{}";
  expect_hold(prepare(), "\"theirs\"");
  cluster_.aliases.clear();
  cluster_.indices["Orders"] = "{}";
  expect_hold(prepare(), "\"Orders\"");
  cluster_.indices.clear();
  cluster_.indices["orders-000001"] = R"({"_meta":{"pg_conveyor":{"origin":"db/2"}}})";
  expect_hold(prepare(), "\"orders-000001\"");
  EXPECT_FALSE(target_->remove_destination(destination_, {}));
  EXPECT_TRUE(cluster_.indices.contains("orders-000001"));
  EXPECT_EQ(cluster_.created, "");
}

TEST_F(ElasticsearchIndexTest, AnIndexMadeJustBeforeACrashIsTakenUpButNotAFullOne) {
  const auto state = prepare();
  EXPECT_EQ(*prepare().value, *state.value);
  cluster_.documents = 3;
  expect_hold(prepare(), "has 3 documents of an earlier delivery");
}

TEST_F(ElasticsearchIndexTest, AFillThatHasCheckpointsNeverGoesOnInANewIndex) {
  const auto state = prepare();
  cluster_.indices.clear();
  cluster_.aliases.clear();
  expect_hold(prepare(*state.value, false), "conveyor.resync_all('o2s')");
  EXPECT_TRUE(cluster_.indices.empty());
}

TEST_F(ElasticsearchIndexTest, AMissingIndexIsMadeAgainForAFillOnly) {
  const auto state = target_->finish_fill(destination_, *prepare().value);
  cluster_.indices.clear();
  cluster_.aliases.clear();
  const auto held = prepare(*state.value, false);
  expect_hold(held, "\"orders-000001\"");
  EXPECT_NE(held.failure.reason.find("conveyor.resync_all('o2s')"), std::string::npos);
  EXPECT_TRUE(prepare(*state.value, true));
}

TEST_F(ElasticsearchIndexTest, AnAliasThatWasTakenAwayComesBack) {
  const auto state = prepare();
  for (const char* alias : {"Orders", "orders-000001-write"}) {
    ASSERT_EQ(cluster_.aliases.erase(alias), 1u);
    ASSERT_TRUE(prepare(*state.value, false));
    EXPECT_EQ(cluster_.aliases[alias], "orders-000001");
  }
}

TEST_F(ElasticsearchIndexTest, AnIndexThatTookThePlaceOfOursIsNotTakenForIt) {
  const auto state = target_->finish_fill(destination_, *prepare().value);
  cluster_.uuid = "u2";  // restored from a snapshot: mark and aliases are there
  expect_hold(prepare(*state.value, false), "conveyor.resync_all('o2s')");
  const auto filled = prepare(*state.value, true);
  ASSERT_TRUE(filled) << filled.failure.reason;
  EXPECT_TRUE(prepare(*filled.value, false)) << "it is ours from the fill on";
}

TEST_F(ElasticsearchIndexTest, ListsEveryIdOnceAfterARefresh) {
  ASSERT_TRUE(prepare());
  for (const int documents : {0, 1, 5000, 12001}) {
    cluster_.documents = documents;
    cluster_.listed = cluster_.refreshes = 0;
    std::vector<std::string> ids;
    std::string position;
    do {
      const auto page = target_->list_ids(destination_, position);
      ASSERT_TRUE(page) << page.failure.reason;
      ids.insert(ids.end(), page.value->ids.begin(), page.value->ids.end());
      position = page.value->position;
    } while (!position.empty());
    EXPECT_EQ(ids.size(), static_cast<std::size_t>(documents));
    EXPECT_EQ(cluster_.refreshes, 1);
  }
}

TEST_F(ElasticsearchIndexTest, AListingThatIsNotWholeIsARetry) {
  ASSERT_TRUE(prepare());
  cluster_.documents = 12000;
  cluster_.forgets = true;
  const auto first = target_->list_ids(destination_, "");
  ASSERT_TRUE(first);
  // 400 and 500 (OpenSearch 3 and 2): the node that kept the place has left.
  for (const int status : {404, 400, 500}) {
    cluster_.forgetting = status;
    const auto lost = target_->list_ids(destination_, first.value->position);
    ASSERT_FALSE(lost) << status;
    EXPECT_EQ(lost.failure.outcome, Outcome::retry) << status;
  }

  cluster_.forgets = false;
  cluster_.failed_shards = 1;
  const auto partial = target_->list_ids(destination_, "");
  ASSERT_FALSE(partial) << "ids of a shard that failed would be taken for gone";
  EXPECT_EQ(partial.failure.outcome, Outcome::retry);
}

TEST_F(ElasticsearchIndexTest, RemovesItsOwnIndexAndIsContentWhenItIsGone) {
  const auto state = prepare();
  const auto removed = target_->remove_destination(destination_, *state.value);
  ASSERT_TRUE(removed);
  EXPECT_TRUE(*removed.value);
  EXPECT_TRUE(cluster_.indices.empty());
  EXPECT_TRUE(target_->remove_destination(destination_, *state.value));
}

TEST_F(ElasticsearchIndexTest, OptionsThatCannotBeAreAHold) {
  destination_.options = R"({"index":{"mappings":5}})";
  const auto state = prepare();
  ASSERT_FALSE(state);
  EXPECT_EQ(state.failure.outcome, Outcome::hold);
  EXPECT_NE(state.failure.reason.find("option index.mappings"), std::string::npos);
}

// A delivery that is rebuilt: its present index, and the one that is made beside it.
class RebuildTest : public ElasticsearchIndexTest {
 protected:
  void SetUp() override {
    ElasticsearchIndexTest::SetUp();
    ASSERT_TRUE(prepare());
    second_ = destination_;
    second_.delivery = "o2s (rebuild)";
    second_.known_as = "o2s";
    second_.index.clear();
    second_.planned = "orders-000002";
    second_.other = "orders-000001";
    second_.named = false;
    const auto made = target_->prepare(second_, {}, true);
    ASSERT_TRUE(made) << made.failure.reason;
    state_ = *made.value;
  }
  Destination second_;
  IndexState state_;
};

TEST_F(RebuildTest, MakesTheSecondIndexWithoutTheName) {
  EXPECT_EQ(second_.index, "orders-000002");
  EXPECT_EQ(cluster_.aliases["Orders"], "orders-000001");
  EXPECT_EQ(cluster_.aliases["orders-000002-write"], "orders-000002");
  EXPECT_NE(cluster_.indices["orders-000002"].find(R"("delivery":"o2s")"), std::string::npos)
      << "both belong to one delivery";
  EXPECT_EQ(*target_->prepare(second_, state_, true).value, state_);
  EXPECT_EQ(cluster_.aliases["Orders"], "orders-000001") << "also when it is looked at again";
}

TEST_F(RebuildTest, LeadsTheNameAndEveryOtherAliasOverInOneRequestAndDoesSoOnce) {
  cluster_.aliases["expensive"] = "orders-000001";
  cluster_.filters.insert("expensive");
  const int before = cluster_.alias_changes;
  EXPECT_TRUE(*target_->lead_name(second_, "orders-000002", "orders-000001").value);
  EXPECT_EQ(cluster_.alias_changes, before + 1);
  EXPECT_EQ(cluster_.aliases["Orders"], "orders-000002");
  EXPECT_EQ(cluster_.aliases["expensive"], "orders-000002");
  EXPECT_EQ(cluster_.aliases["orders-000001-write"], "orders-000001") << "what is written to stays";
  EXPECT_FALSE(*target_->lead_name(second_, "orders-000002", "orders-000001").value);
  EXPECT_EQ(cluster_.alias_changes, before + 1);
}

TEST_F(RebuildTest, ThePresentIndexNeverTakesTheNameFromTheOther) {
  ASSERT_TRUE(target_->lead_name(second_, "orders-000002", "orders-000001"));
  destination_.other = "orders-000002";
  ASSERT_TRUE(
      prepare(state_.empty() ? state_ : R"({"name":"orders-000001","uuid":"u1","filling":false,"restore":{}})", false));
  EXPECT_EQ(cluster_.aliases["Orders"], "orders-000002") << "or readers would have two";
}

TEST_F(RebuildTest, ANameThatLeadsToSomebodyElsesIndexIsLeftAlone) {
  cluster_.indices["theirs"] = "{}";
  cluster_.aliases["Orders"] = "theirs";
  const auto led = target_->lead_name(second_, "orders-000002", "orders-000001");
  ASSERT_FALSE(led);
  EXPECT_EQ(led.failure.outcome, Outcome::hold);
  EXPECT_EQ(cluster_.aliases["Orders"], "theirs");
}

TEST_F(RebuildTest, RemovingAnIndexLeadsReadersAwayFromItFirst) {
  ASSERT_TRUE(target_->lead_name(second_, "orders-000002", "orders-000001"));
  second_.other = "orders-000001";
  EXPECT_FALSE(target_->remove_destination(second_, state_)) << "whose searches may be under way";
  EXPECT_EQ(cluster_.aliases["Orders"], "orders-000001");
  EXPECT_TRUE(cluster_.indices.contains("orders-000002"));
  EXPECT_TRUE(*target_->remove_destination(second_, state_).value);
  EXPECT_FALSE(cluster_.indices.contains("orders-000002"));
}

TEST_F(RebuildTest, AnIndexOfTheSameNameThatCameLaterIsNotRemoved) {
  cluster_.uuid = "u2";
  EXPECT_FALSE(*target_->remove_destination(second_, state_).value);
  EXPECT_TRUE(cluster_.indices.contains("orders-000002"));
}

TEST_F(RebuildTest, ReadersNeedAllCopiesOrAsManyAsTheyHave) {
  const auto why = [&] { return target_->unready(second_, "orders-000001").value.value_or("failed"); };
  cluster_.active = {{"orders-000001", 4}, {"orders-000002", 2}};
  EXPECT_EQ(why(), "index \"orders-000002\" has 1 of 2 copies of each shard");
  cluster_.active["orders-000002"] = 4;
  EXPECT_EQ(why(), "");
  cluster_.active = {{"orders-000001", 2}, {"orders-000002", 2}};
  EXPECT_EQ(why(), "") << "a cluster with no place for more";
  cluster_.moving = true;
  EXPECT_EQ(why(), "index \"orders-000002\" has 1 of 2 copies of each shard, one is being made");
}

TEST_F(RebuildTest, SaysWhichIdsAreThere) {
  cluster_.ids = {"1", "3"};
  const std::string impossible(513, 'x');
  EXPECT_EQ(*target_->have_ids(second_, {"1", "", "2", impossible, "3"}).value,
            (std::vector<bool>{true, false, false, false, true}));
  EXPECT_EQ(target_->have_ids(second_, {""}).value->size(), 1u);
}

}  // namespace
}  // namespace conveyor
