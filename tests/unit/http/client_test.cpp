#include "http/client.hpp"

#include <gtest/gtest.h>

#include <future>

#include <zlib.h>

#include "support/fake_server.hpp"
#include "support/tls.hpp"

namespace conveyor::http {
namespace {

using namespace std::chrono_literals;
using test::FakeServer;
using test::Received;
using test::Reply;

Request post(const std::string& url, std::string body) {
  auto owner = std::make_shared<std::string>(std::move(body));
  Request request;
  request.method = "POST";
  request.url = url;
  request.content_type = "application/x-ndjson";
  request.body = *owner;
  request.owner = owner;
  return request;
}

std::string unzip(const std::string& bytes) {
  std::string out(16u << 20, '\0');
  z_stream stream{};
  inflateInit2(&stream, 15 + 16);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int code = inflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return code == Z_STREAM_END ? out : "not gzip";
}

std::string megabytes(int n) {
  std::string text;
  while (text.size() < static_cast<std::size_t>(n) << 20) text += "line " + std::to_string(text.size()) + "\n";
  return text;
}

TEST(HttpClient, SendsABodyWholeAndKeepsTheConnection) {
  FakeServer server([](const Received&) { return Reply{}; });
  Client client(Settings{});
  const std::string body = megabytes(3);
  for (int i = 0; i < 5; ++i) {
    const Response response = client.wait(post(server.url(), body));
    ASSERT_EQ(response.end, End::answered) << response.error;
    EXPECT_EQ(response.status, 200);
  }
  EXPECT_EQ(server.connections(), 1);
  EXPECT_EQ(server.received().at(4).body, body);
  EXPECT_EQ(server.received().at(0).method, "POST");
}

TEST(HttpClient, CompressesOnTheWay) {
  FakeServer server([](const Received&) { return Reply{}; });
  Client client(Settings{});
  const std::string body = megabytes(3);
  Request request = post(server.url(), body);
  request.gzip = true;
  ASSERT_EQ(client.wait(std::move(request)).end, End::answered);
  const Received received = server.received().at(0);
  EXPECT_LT(received.body.size(), body.size() / 2);
  EXPECT_EQ(unzip(received.body), body);
  EXPECT_NE(received.head.find("Content-Encoding: gzip"), std::string::npos);
}

TEST(HttpClient, ManyRequestsAreUnderWayAtOnce) {
  FakeServer server([](const Received&) { return Reply{.delay_ms = 200}; });
  Client client(Settings{});
  std::vector<std::future<Response>> answers;
  const Time begun = Clock::now();
  for (int i = 0; i < 8; ++i) {
    auto promise = std::make_shared<std::promise<Response>>();
    answers.push_back(promise->get_future());
    client.request(post(server.url(), "x"), [promise](Response response) { promise->set_value(std::move(response)); });
  }
  for (auto& answer : answers) EXPECT_EQ(answer.get().end, End::answered);
  EXPECT_LT(Clock::now() - begun, 1s);
}

TEST(HttpClient, WhatFoundNoServerWasNotSent) {
  int port;
  {
    FakeServer gone([](const Received&) { return Reply{}; });
    port = gone.port();
  }
  Client client(Settings{});
  const Response response = client.wait(post("http://127.0.0.1:" + std::to_string(port), "x"));
  EXPECT_EQ(response.end, End::not_sent);
  EXPECT_EQ(response.error, "connection refused at 127.0.0.1:" + std::to_string(port));
}

TEST(HttpClient, WhatWasSentAndGotNoAnswerMayHaveBeenApplied) {
  FakeServer server([](const Received& request) {
    if (request.path == "/nothing") return Reply{.hang_up = true};
    if (request.path == "/half") return Reply{.raw = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"errors\":fal"};
    return Reply{.delay_ms = 3000};
  });
  Client client(Settings{});
  EXPECT_EQ(client.wait(post(server.url() + "/nothing", "x")).end, End::unanswered);
  EXPECT_EQ(client.wait(post(server.url() + "/half", "x")).end, End::unanswered);
  Request late = post(server.url() + "/late", "x");
  late.timeout = 300ms;
  const Response response = client.wait(std::move(late));
  EXPECT_EQ(response.end, End::unanswered);
  EXPECT_NE(response.error.find("no answer in time"), std::string::npos);
}

// libcurl would repeat it by itself: the server closes a kept connection just after it has read the second request.
TEST(HttpClient, NothingOfWhichAByteWasSentIsRepeatedByItself) {
  FakeServer server([](const Received& request) { return Reply{.hang_up = request.path == "/second"}; });
  Client client(Settings{});
  ASSERT_EQ(client.wait(post(server.url() + "/first", "x")).end, End::answered);
  EXPECT_EQ(client.wait(post(server.url() + "/second", "x")).end, End::unanswered);
  EXPECT_EQ(server.received().size(), 2u);
}

TEST(HttpClient, ACutInTheMiddleOfTheBodyIsToldApart) {
  FakeServer server([](const Received&) { return Reply{}; });
  server.cut_body = [](const Received&) { return std::size_t{100000}; };
  Client client(Settings{});
  const Response response = client.wait(post(server.url(), megabytes(20)));
  EXPECT_EQ(response.end, End::unanswered);
  EXPECT_TRUE(response.cut_short);
}

TEST(HttpClient, AnAnswerWithoutEndIsNotReadForEver) {
  FakeServer server([](const Received&) { return Reply{.body = megabytes(2)}; });
  Client client(Settings{});
  Request request = post(server.url(), "x");
  request.max_response = 1 << 20;
  const Response response = client.wait(std::move(request));
  EXPECT_EQ(response.end, End::unanswered);
  EXPECT_LE(response.body.size(), 1u << 20);
  EXPECT_NE(response.error.find("an answer over 1048576 bytes"), std::string::npos);
}

TEST(HttpClient, SendsCredentialsAndNeverNamesThem) {
  FakeServer server([](const Received&) { return Reply{.status = 401}; });
  Settings settings;
  settings.user = "elastic";
  settings.password = "secret";
  Client client(settings);
  const Response refused = client.wait(post(server.url(), "x"));
  EXPECT_EQ(refused.status, 401);
  EXPECT_NE(server.received().at(0).head.find("Authorization: Basic ZWxhc3RpYzpzZWNyZXQ="), std::string::npos);
  EXPECT_EQ((refused.error + refused.body).find("secret"), std::string::npos);

  settings.api_key = "a2V5";
  client.configure(settings);
  client.wait(post(server.url(), "x"));
  EXPECT_NE(server.received().at(1).head.find("Authorization: ApiKey a2V5"), std::string::npos);
  EXPECT_EQ(server.received().at(1).head.find("Basic"), std::string::npos);
}

TEST(HttpClient, ACertificateThatDoesNotVerifyIsRefusedUnlessTrusted) {
  test::TlsServer server;
  Client strict(Settings{});
  const Response refused = strict.wait(post(server.url(), "x"));
  EXPECT_EQ(refused.end, End::not_sent);
  EXPECT_TRUE(refused.refused_by_us);
  EXPECT_NE(refused.error.find("does not verify"), std::string::npos) << refused.error;

  Settings trusting;
  trusting.ca_file = server.certificate();
  Client client(trusting);
  const Response accepted = client.wait(post(server.url(), "x"));
  EXPECT_EQ(accepted.end, End::answered) << accepted.error;
}

TEST(HttpClient, EndsWithoutLeavingAnyoneWaiting) {
  FakeServer server([](const Received&) { return Reply{.delay_ms = 5000}; });
  std::promise<Response> promise;
  {
    Client client(Settings{});
    client.request(post(server.url(), "x"), [&](Response response) { promise.set_value(std::move(response)); });
    std::this_thread::sleep_for(200ms);
  }
  EXPECT_EQ(promise.get_future().get().end, End::unanswered);
}

TEST(HttpClient, RunsFunctionsAtTheirTime) {
  Client client(Settings{});
  std::promise<std::string> done;
  std::string order;
  client.after(60ms, [&] {
    order += "later ";
    done.set_value(order);
  });
  client.after(10ms, [&] { order += "soon "; });
  client.post([&] { order += "now "; });
  EXPECT_EQ(done.get_future().get(), "now soon later ");
}

}  // namespace
}  // namespace conveyor::http
