#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <set>
#include <sstream>

#include "decide/clock.hpp"
#include "decide/json.hpp"
#include "support/fake_server.hpp"
#include "target/target.hpp"

namespace conveyor {
namespace {

using namespace std::chrono_literals;
using test::FakeServer;
using test::Received;
using test::Reply;

constexpr const char* ours = R"({"orders-000001":{"mappings":{"_meta":{"pg_conveyor":{"origin":"db/1"}}}}})";

// The _ids in a bulk body, in order.
std::vector<std::string> ids(const std::string& body) {
  std::vector<std::string> found;
  std::istringstream lines(body);
  for (std::string line; std::getline(lines, line);) {
    const Json json = parse_json(line);
    for (const char* action : {"index", "delete"})
      if (const json_t* meta = json_object_get(json.get(), action)) found.push_back(text_of(meta, "_id"));
  }
  return found;
}

std::string bulk_answer(const std::vector<std::string>& of,
                        const std::function<std::string(const std::string&)>& item) {
  std::string items;
  bool errors = false;
  for (const std::string& id : of) {
    const std::string one = item(id);
    errors |= one.find("error") != std::string::npos;
    items += (items.empty() ? "" : ",") + one;
  }
  return std::string(R"({"errors":)") + (errors ? "true" : "false") + R"(,"items":[)" + items + "]}";
}

std::string accepted(const std::string&) { return R"({"index":{"status":201}})"; }
std::string failed(int status, const std::string& type) {
  return R"({"index":{"status":)" + std::to_string(status) + R"(,"error":{"type":")" + type +
         R"(","reason":"because"}}})";
}
Reply refused(int status, const std::string& type) {
  return {.status = status,
          .body = R"({"error":{"type":")" + type + R"(","reason":"because"},"status":)" + std::to_string(status) + "}"};
}

bool is_bulk(const Received& request) { return request.path.find("/_bulk") != std::string::npos; }

// A target whose server says that the index is ours and answers bulk requests as the test wants.
class ElasticsearchTest : public testing::Test {
 protected:
  void serve(FakeServer::Handler bulk) {
    server_ = std::make_unique<FakeServer>([bulk](const Received& request) {
      if (is_bulk(request)) return bulk(request);
      return Reply{.body = ours};
    });
    connect(R"({"url":")" + server_->url() + R"("})");
  }

  void connect(const std::string& options) {
    auto made = make_target("elasticsearch", options, "search");
    ASSERT_TRUE(made) << made.failure.reason;
    target_ = std::move(*made.value);
  }

  std::shared_ptr<Body> documents(int count) {
    auto body = std::make_shared<Body>();
    for (int i = 0; i < count; ++i) target_->append_document(*body, std::to_string(i), 7, R"({"x":1})");
    return body;
  }

  SendResult send(std::shared_ptr<const Body> body, const std::string& delivery = "o2s") {
    auto promise = std::make_shared<std::promise<SendResult>>();
    auto future = promise->get_future();
    Destination destination = destination_;
    destination.delivery = delivery;
    target_->send(destination, std::move(body),
                  [promise](SendResult result) { promise->set_value(std::move(result)); });
    if (future.wait_for(20s) != std::future_status::ready) throw std::runtime_error("send() was not answered");
    return future.get();
  }

  std::vector<std::size_t> with(const SendResult& result, Outcome outcome) {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < result.items.size(); ++i)
      if (result.items[i].outcome == outcome) found.push_back(i);
    return found;
  }

  std::size_t bulk_requests() const {
    const auto all = server_->received();
    return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), is_bulk));
  }

  Destination destination_{"o2s", "orders", "orders-000001", "{}", {}, "db/1"};
  std::unique_ptr<FakeServer> server_;
  std::unique_ptr<Target> target_;
};

TEST_F(ElasticsearchTest, SendsToTheConcreteIndexAndAsksForStatusesOnly) {
  serve([](const Received& r) { return Reply{.body = bulk_answer(ids(r.body), accepted)}; });
  const SendResult result = send(documents(3));
  EXPECT_TRUE(result.answered);
  EXPECT_EQ(result.whole, Outcome::done);
  EXPECT_TRUE(result.items.empty());
  const Received bulk = server_->received().back();
  EXPECT_EQ(bulk.path.find("/orders-000001-write/_bulk?require_alias=true&"), 0u) << "or it could make an index";
  EXPECT_NE(bulk.path.find("filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"),
            std::string::npos);
  EXPECT_EQ(ids(bulk.body), (std::vector<std::string>{"0", "1", "2"}));
}

TEST_F(ElasticsearchTest, OnePoisonedDocumentCostsThatDocumentOnly) {
  serve([](const Received& r) {
    return Reply{.body = bulk_answer(ids(r.body), [](const std::string& id) {
                   return id == "4242" ? failed(400, "mapper_parsing_exception") : accepted(id);
                 })};
  });
  const SendResult result = send(documents(10000));
  EXPECT_EQ(with(result, Outcome::dead_letter), std::vector<std::size_t>{4242});
  EXPECT_EQ(with(result, Outcome::done).size(), 9999u);
  EXPECT_EQ(result.items[4242].type, "mapper_parsing_exception");
  EXPECT_EQ(bulk_requests(), 1u);
}

TEST_F(ElasticsearchTest, ARequestRefusedForOneDocumentGoesAgainInHalvesDownToThatOne) {
  serve([](const Received& r) {
    const auto all = ids(r.body);
    if (std::count(all.begin(), all.end(), "77")) return refused(400, "illegal_argument_exception");
    return Reply{.body = bulk_answer(all, accepted)};
  });
  const SendResult result = send(documents(1000));
  EXPECT_TRUE(result.answered);
  EXPECT_EQ(with(result, Outcome::dead_letter), std::vector<std::size_t>{77});
  EXPECT_EQ(with(result, Outcome::done).size(), 999u);
  EXPECT_LT(bulk_requests(), 25u);
}

// Elasticsearch 9: innocent neighbours of a bad action are refused item by item.
TEST_F(ElasticsearchTest, InnocentNeighboursAreSentAgainAndNeverDeadLettered) {
  serve([](const Received& r) {
    const auto all = ids(r.body);
    const bool poisoned = std::count(all.begin(), all.end(), "5") > 0;
    return Reply{.body = bulk_answer(all, [&](const std::string& id) {
                   return poisoned && std::stoi(id) < 20 ? failed(400, "action_request_validation_exception")
                                                         : accepted(id);
                 })};
  });
  const SendResult result = send(documents(100));
  EXPECT_EQ(with(result, Outcome::dead_letter), std::vector<std::size_t>{5});
  EXPECT_EQ(with(result, Outcome::done).size(), 99u);
}

TEST_F(ElasticsearchTest, ATooLargeRequestIsHalvedAndATooLargeDocumentIsADeadLetterWithItsSize) {
  serve([](const Received& r) {
    if (r.body.size() > 20000) return Reply{.status = 413, .body = ""};
    return Reply{.body = bulk_answer(ids(r.body), accepted)};
  });
  auto body = documents(1000);
  target_->append_document(*body, "huge", 7, R"({"x":")" + std::string(30000, 'x') + R"("})");
  const SendResult result = send(body);
  EXPECT_EQ(with(result, Outcome::dead_letter), std::vector<std::size_t>{1000});
  EXPECT_EQ(result.items[1000].type, "document_too_large");
  EXPECT_NE(result.items[1000].reason.find(std::to_string(body->items[1000].wire_size)), std::string::npos);
  EXPECT_EQ(with(result, Outcome::done).size(), 1000u);
}

TEST_F(ElasticsearchTest, AKeyThatNoServerTakesIsADeadLetterWithoutBeingSent) {
  serve([](const Received& r) { return Reply{.body = bulk_answer(ids(r.body), accepted)}; });
  auto body = documents(2);
  target_->append_document(*body, std::string(513, 'k'), 7, "{}");
  target_->append_document(*body, "last", 7, "{}");
  const SendResult result = send(body);
  EXPECT_EQ(with(result, Outcome::dead_letter), std::vector<std::size_t>{2});
  EXPECT_EQ(result.items[2].type, "key_too_long");
  EXPECT_EQ(ids(server_->received().back().body), (std::vector<std::string>{"0", "1", "last"}));

  auto alone = std::make_shared<Body>();
  target_->append_document(*alone, std::string(600, 'k'), 7, "{}");
  EXPECT_EQ(with(send(alone), Outcome::dead_letter), std::vector<std::size_t>{0});
}

TEST_F(ElasticsearchTest, AnAnswerThatIsNoBulkAnswerCountsAsNone) {
  for (const Reply& odd :
       {Reply{.body = "<html><body>Welcome</body></html>", .content_type = "text/html"}, Reply{.body = ""},
        Reply{.body = R"({"errors":false,"items":[{"index":{"status":201}}]})"},
        Reply{.body = R"({"errors":false,"items":[{"ind)"},
        Reply{.raw = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"errors\""}, Reply{.hang_up = true}}) {
    serve([odd](const Received&) { return odd; });
    const SendResult result = send(documents(3));
    EXPECT_FALSE(result.answered) << odd.body;
    EXPECT_EQ(result.whole, Outcome::retry) << odd.body;
    EXPECT_NE(target_->condition(), "");
  }
}

TEST_F(ElasticsearchTest, OverloadIsPassedOnItemByItemAndAsAWhole) {
  serve([](const Received& r) {
    return Reply{.body = bulk_answer(ids(r.body), [](const std::string& id) {
                   return id == "1" ? failed(429, "rejected_execution_exception") : accepted(id);
                 })};
  });
  EXPECT_EQ(with(send(documents(3)), Outcome::slow_down), std::vector<std::size_t>{1});
  serve([](const Received&) { return refused(429, "circuit_breaking_exception"); });
  const SendResult result = send(documents(3));
  EXPECT_TRUE(result.answered);
  EXPECT_EQ(result.whole, Outcome::slow_down);
  EXPECT_NE(target_->condition().find("circuit_breaking_exception"), std::string::npos);
}

TEST_F(ElasticsearchTest, WhatIsTooMuchEvenAloneGoesInHalvesButNotInCrumbs) {
  std::atomic<std::size_t> limit = 200'000;
  serve([&](const Received& r) {
    if (r.body.size() > limit) return refused(429, "es_rejected_execution_exception");
    return Reply{.body = bulk_answer(ids(r.body), accepted)};
  });
  connect(R"({"url":")" + server_->url() + R"(","max_in_flight":1})");
  auto body = std::make_shared<Body>();
  for (int i = 0; i < 1000; ++i)
    target_->append_document(*body, std::to_string(i), 7, R"({"x":")" + std::string(1000, 'x') + R"("})");
  const SendResult result = send(body);
  EXPECT_EQ(result.whole, Outcome::done);
  EXPECT_TRUE(with(result, Outcome::slow_down).empty());
  EXPECT_EQ(target_->condition(), "");

  limit = 0;
  const std::size_t before = bulk_requests();
  EXPECT_EQ(with(send(body), Outcome::slow_down).size(), 1000u);
  EXPECT_LT(bulk_requests() - before, 64u) << "a server that others overload is not to be buried in small requests";
}

TEST_F(ElasticsearchTest, AWrongPasswordHoldsAndSaysSoWithoutIt) {
  server_ = std::make_unique<FakeServer>([](const Received&) { return refused(401, "security_exception"); });
  ::setenv("CONVEYOR_SEARCH_PASSWORD", "hunter2", 1);
  connect(R"({"url":")" + server_->url() + R"(","user":"elastic"})");
  ::unsetenv("CONVEYOR_SEARCH_PASSWORD");
  const SendResult result = send(documents(1));
  EXPECT_EQ(result.whole, Outcome::hold);
  EXPECT_EQ((result.reason + target_->condition()).find("hunter2"), std::string::npos);
  EXPECT_NE(target_->condition().find("401"), std::string::npos);
}

TEST_F(ElasticsearchTest, NothingIsWrittenToAnIndexThatIsGoneOrNotOurs) {
  for (const Reply& mapping :
       {refused(404, "index_not_found_exception"), Reply{.body = R"({"orders-000001":{"mappings":{}}})"},
        Reply{.body = R"({"orders-000001":{"mappings":{"_meta":{"pg_conveyor":{"origin":"db/2"}}}}})"}}) {
    server_ = std::make_unique<FakeServer>([mapping](const Received&) { return mapping; });
    connect(R"({"url":")" + server_->url() + R"("})");
    auto body = std::make_shared<Body>();
    target_->append_delete(*body, "1", 7);
    const SendResult result = send(body);
    EXPECT_EQ(result.whole, Outcome::hold);
    EXPECT_NE(result.reason.find("orders-000001"), std::string::npos);
    EXPECT_EQ(bulk_requests(), 0u);
  }
}

TEST_F(ElasticsearchTest, ATargetThatIsDownAnswersAtOnceAndSaysWhyAndComesBackByItself) {
  int port;
  {
    FakeServer gone([](const Received&) { return Reply{}; });
    port = gone.port();
  }
  connect(R"({"url":"http://127.0.0.1:)" + std::to_string(port) + R"("})");
  const Time begun = Clock::now();
  for (int i = 0; i < 20; ++i) {
    const SendResult result = send(documents(3));
    EXPECT_TRUE(result.answered) << "nothing was sent, so nothing can be applied later";
    EXPECT_EQ(result.whole, Outcome::retry);
  }
  EXPECT_LT(Clock::now() - begun, 2s);
  const std::string condition = target_->condition();
  EXPECT_NE(condition.find("connection refused at 127.0.0.1:" + std::to_string(port) + ", "), std::string::npos)
      << condition;

  server_ = std::make_unique<FakeServer>(
      [](const Received& r) {
        return is_bulk(r) ? Reply{.body = bulk_answer(ids(r.body), accepted)} : Reply{.body = ours};
      },
      port);
  const Time until = Clock::now() + 10s;
  while (!target_->condition().empty() && Clock::now() < until) std::this_thread::sleep_for(20ms);
  EXPECT_EQ(target_->condition(), "");
  EXPECT_EQ(send(documents(3)).whole, Outcome::done);
}

TEST_F(ElasticsearchTest, AServerThatSaysNothingForSomeSecondsIsNamedBeforeItIsGivenUp) {
  std::atomic<bool> answer = false;
  serve([&](const Received& r) {
    while (!answer) std::this_thread::sleep_for(10ms);
    return Reply{.body = bulk_answer(ids(r.body), accepted)};
  });
  auto sent = std::async(std::launch::async, [&] { return send(documents(1)); });
  const Time until = Clock::now() + 15s;
  while (target_->condition().empty() && Clock::now() < until) std::this_thread::sleep_for(20ms);
  EXPECT_EQ(target_->condition().find("no answer to a request for "), 0u) << target_->condition();
  answer = true;
  EXPECT_EQ(sent.get().whole, Outcome::done);
  EXPECT_EQ(target_->condition(), "");
}

TEST_F(ElasticsearchTest, ARedirectIsNotFollowedAndMeansLater) {
  std::atomic<int> elsewhere = 0;
  FakeServer other([&](const Received&) {
    ++elsewhere;
    return Reply{};
  });
  serve([&](const Received&) {
    return Reply{.raw =
                     "HTTP/1.1 307 Temporary Redirect\r\nLocation: " + other.url() + "/\r\nContent-Length: 0\r\n\r\n"};
  });
  const SendResult result = send(documents(2));
  EXPECT_EQ(result.whole, Outcome::retry);
  EXPECT_NE(target_->condition().find("307"), std::string::npos) << target_->condition();
  EXPECT_EQ(elsewhere, 0) << "neither documents nor a password may go where someone points";
}

TEST_F(ElasticsearchTest, GoesToAnotherNodeWhenOneIsDown) {
  int port;
  {
    FakeServer gone([](const Received&) { return Reply{}; });
    port = gone.port();
  }
  serve([](const Received& r) { return Reply{.body = bulk_answer(ids(r.body), accepted)}; });
  connect(R"({"url":["http://127.0.0.1:)" + std::to_string(port) + R"(",")" + server_->url() + R"("]})");
  for (int i = 0; i < 6; ++i) EXPECT_EQ(send(documents(1)).whole, Outcome::done);
}

TEST_F(ElasticsearchTest, DeliveriesTakeTurns) {
  std::mutex mutex;
  std::string order;
  serve([&](const Received& r) {
    const auto all = ids(r.body);
    const std::lock_guard lock(mutex);
    order += all.front().substr(0, 1);
    return Reply{.body = bulk_answer(all, accepted), .delay_ms = 20};
  });
  connect(R"({"url":")" + server_->url() + R"(","max_in_flight":1})");
  std::atomic<int> open = 22;
  const auto one = [&](const std::string& delivery) {
    auto body = std::make_shared<Body>();
    target_->append_document(*body, delivery, 1, "{}");
    Destination destination = destination_;
    destination.delivery = delivery;
    target_->send(destination, body, [&](SendResult) { --open; });
  };
  for (int i = 0; i < 20; ++i) one("big");
  one("small");
  one("small");
  while (open > 0) std::this_thread::sleep_for(1ms);
  const std::size_t last = order.rfind('s');
  EXPECT_LT(last, 8u) << order;
}

TEST_F(ElasticsearchTest, ACutUploadIsTriedInHalves) {
  server_ = std::make_unique<FakeServer>([](const Received& r) {
    return is_bulk(r) ? Reply{.body = bulk_answer(ids(r.body), accepted)} : Reply{.body = ours};
  });
  server_->cut_body = [](const Received& r) {
    const std::size_t at = r.head.find("Content-Length: ");
    return std::stoul(r.head.substr(at + 16)) > 8000000 ? std::size_t{100000} : 0;
  };
  connect(R"({"url":")" + server_->url() + R"("})");
  auto body = std::make_shared<Body>();
  const std::string document = R"({"x":")" + std::string(1000000, 'x') + R"("})";
  for (int i = 0; i < 20; ++i) target_->append_document(*body, std::to_string(i), 1, document);
  const SendResult result = send(body);
  EXPECT_FALSE(result.answered) << "what was cut may have been applied in part";
  std::set<std::string> arrived;
  for (const Received& r : server_->received())
    for (const std::string& id : ids(r.body)) arrived.insert(id);
  EXPECT_EQ(arrived.size(), 20u);
}

TEST_F(ElasticsearchTest, UnknownOptionsAndUrlsAreRefusedByName) {
  ::unsetenv("CONVEYOR_SEARCH_PASSWORD");
  for (const auto& [options, word] : std::vector<std::pair<std::string, std::string>>{
           {R"({})", "option url is missing"},
           {R"({"url":"localhost"})", "option url"},
           {R"({"url":"ftp://x"})", "http://"},
           {R"({"url":"http://elastic:hunter2@x:9200"})", "must not hold a user or a password"},
           {R"({"url":[]})", "at least one"},
           {R"({"url":5})", "option url"},
           {R"({"url":"http://x","max_in_flight":0})", "max_in_flight"},
           {R"({"url":"http://x","timeout":"5 s"})", "timeout"},
           {R"({"url":"http://x","user":"elastic"})", "CONVEYOR_SEARCH_PASSWORD"}}) {
    const auto made = make_target("elasticsearch", options, "search");
    ASSERT_FALSE(made) << options;
    EXPECT_EQ(made.failure.outcome, Outcome::hold);
    EXPECT_NE(made.failure.reason.find(word), std::string::npos) << made.failure.reason;
    EXPECT_EQ(made.failure.reason.find("hunter2"), std::string::npos);
  }
  EXPECT_FALSE(make_target("starrocks", "{}", "x"));
}

}  // namespace
}  // namespace conveyor
