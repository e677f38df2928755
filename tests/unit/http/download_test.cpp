#include "http/download.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "postgres/error.hpp"
#include "support/fake_server.hpp"
#include "support/tls.hpp"

namespace conveyor::http {
namespace {

using namespace std::chrono_literals;
using test::FakeServer;
using test::Received;
using test::Reply;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const std::string secret = "signature-that-nobody-may-see";

DownloadSettings quick() {
  DownloadSettings settings;
  settings.retry_delay = 1ms;
  settings.max_retry_delay = 2ms;
  settings.most_fruitless = 4;
  return settings;
}

struct Got {
  std::string text, error;
  std::vector<std::string> notices;
  bool never_connected = false;
};

Got get(const std::string& address, const DownloadSettings& settings = quick()) {
  Got got;
  try {
    download(
        address, settings, {}, [&](std::string_view bytes) { got.text += bytes; },
        [&](const std::string& notice) { got.notices.push_back(notice); });
  } catch (const DownloadError& error) {
    got.error = error.what();
    got.never_connected = error.never_connected;
  }
  return got;
}

std::string range_of(const Received& request) {
  const char* found = ::strcasestr(request.head.c_str(), "\r\nRange: ");
  if (!found) return {};
  const std::string value(found + std::strlen("\r\nRange: "));
  return value.substr(0, value.find('\r'));
}

// Closes the connection behind the body.
Reply raw(const std::string& head, const std::string& body) {
  Reply reply;
  reply.raw = "HTTP/1.1 " + head + "\r\nConnection: close\r\n\r\n" + body;
  return reply;
}

// A file of bytes behind a server that cuts every answer after `portion` bytes; `ranges`: it knows them.
struct CuttingServer {
  const std::string file;
  const std::size_t portion;
  const bool ranges;
  std::vector<std::string> asked{};
  FakeServer server{[this](const Received& request) {
    const std::string range = range_of(request);
    asked.push_back(range);
    std::size_t from = 0;
    if (!range.empty() && ranges) from = std::stoul(range.substr(std::strlen("bytes=")));
    // Without ranges each answer goes a little further.
    const std::size_t size = ranges ? portion : portion * asked.size();
    const std::string length = "Content-Length: " + std::to_string(file.size() - from) + "\r\nETag: \"one\"";
    const std::string status = from == 0 ? "200 OK"
                                         : "206 Partial Content\r\nContent-Range: bytes " + std::to_string(from) + "-" +
                                               std::to_string(file.size() - 1) + "/" + std::to_string(file.size());
    return raw(status + "\r\n" + length, file.substr(from, size));
  }};
};

TEST(Download, GoesOnWhereTheConnectionWasCut) {
  CuttingServer cutting{"0123456789", 4, true};
  const Got got = get(cutting.server.url() + "/ids?sig=" + secret);
  EXPECT_EQ(got.text, "0123456789") << got.error;
  EXPECT_THAT(cutting.asked, ElementsAre("", "bytes=4-", "bytes=8-"));
  EXPECT_THAT(cutting.server.received().back().head, HasSubstr("If-Range: \"one\""));
  EXPECT_EQ(got.notices.size(), 2u);
  for (const std::string& notice : got.notices) EXPECT_THAT(notice, Not(HasSubstr(secret)));
}

TEST(Download, BeginsAnewWhereTheServerKnowsNoRanges) {
  CuttingServer cutting{"0123456789", 4, false};
  EXPECT_EQ(get(cutting.server.url()).text, "0123456789");
  EXPECT_EQ(cutting.asked.size(), 3u);
}

TEST(Download, RefusesAFileThatIsChangedMeanwhile) {
  int asked = 0;
  FakeServer server([&](const Received&) {
    return ++asked == 1 ? raw("200 OK\r\nContent-Length: 6\r\nETag: \"one\"", "abc")
                        : raw("200 OK\r\nContent-Length: 6\r\nETag: \"two\"", "uvwxyz");
  });
  const Got got = get(server.url() + "/ids?sig=" + secret);
  EXPECT_EQ(got.text, "abc");
  EXPECT_THAT(got.error, HasSubstr("changed"));
  EXPECT_THAT(got.error, Not(HasSubstr(secret)));
}

TEST(Download, TriesAgainWhenTheServerIsBusy) {
  int asked = 0;
  FakeServer server([&](const Received&) {
    Reply reply;
    reply.status = ++asked < 3 ? 503 : 200;
    reply.body = asked < 3 ? "busy" : "abc";
    return reply;
  });
  EXPECT_EQ(get(server.url()).text, "abc");
}

TEST(Download, GivesUpWhenNothingComes) {
  FakeServer server([](const Received&) {
    Reply reply;
    reply.hang_up = true;
    return reply;
  });
  const Got got = get(server.url() + "/ids?sig=" + secret);
  EXPECT_EQ(server.received().size(), 4u);
  EXPECT_THAT(got.error, HasSubstr(server.url() + "/ids: "));
  EXPECT_THAT(got.error, Not(HasSubstr(secret)));
}

TEST(Download, SaysWhatTheServerRefuses) {
  for (const int status : {403, 404, 418}) {
    FakeServer server([&](const Received&) {
      Reply reply;
      reply.status = status;
      reply.body = "the body of a refusal";
      return reply;
    });
    const Got got = get(server.url() + "/ids?sig=" + secret);
    EXPECT_EQ(got.text, "");
    EXPECT_THAT(got.error, HasSubstr(std::to_string(status)));
    EXPECT_THAT(got.error, Not(HasSubstr(secret)));
    EXPECT_EQ(server.received().size(), 1u) << "asking again is of no use";
  }
}

TEST(Download, FollowsARedirection) {
  FakeServer server([](const Received& request) {
    if (request.path == "/there") return raw("200 OK\r\nContent-Length: 3", "abc");
    return raw("307 Temporary Redirect\r\nLocation: /there\r\nContent-Length: 7", "<moved>");
  });
  EXPECT_EQ(get(server.url() + "/here").text, "abc");
}

TEST(Download, TakesAnEmptyFile) {
  FakeServer server([](const Received&) { return raw("200 OK\r\nContent-Length: 0", ""); });
  const Got got = get(server.url());
  EXPECT_EQ(got.text + got.error, "");
}

TEST(Download, SaysWhenThereIsNoServer) {
  int port;
  {
    FakeServer gone([](const Received&) { return Reply(); });
    port = gone.port();
  }
  const Got got = get("http://127.0.0.1:" + std::to_string(port) + "/ids?sig=" + secret);
  EXPECT_TRUE(got.never_connected);
  EXPECT_THAT(got.error, Not(HasSubstr(secret)));
}

TEST(Download, VerifiesCertificates) {
  test::TlsServer server;
  const Got refused = get(server.url());
  EXPECT_THAT(refused.error, HasSubstr("certificate"));
  EXPECT_TRUE(refused.notices.empty()) << "asking again is of no use";
  DownloadSettings trusting = quick();
  trusting.ca_file = server.certificate();
  EXPECT_THAT(get(server.url(), trusting).error, HasSubstr("404")) << "it has no such file, but it is believed";
}

TEST(Download, StopsWhenItIsTold) {
  std::stop_source stop;
  FakeServer server([&](const Received&) {
    stop.request_stop();
    Reply reply;
    reply.hang_up = true;
    return reply;
  });
  EXPECT_THROW(download(
                   server.url(), quick(), stop.get_token(), [](std::string_view) {}, [](const std::string&) {}),
               Stopped);
}

TEST(Download, PassesOnWhatGoesWrongWithWhoTakesIt) {
  FakeServer server([](const Received&) { return raw("200 OK\r\nContent-Length: 3", "abc"); });
  EXPECT_THROW(download(
                   server.url(), quick(), {}, [](std::string_view) { throw std::length_error("enough"); },
                   [](const std::string&) {}),
               std::length_error);
  EXPECT_EQ(server.received().size(), 1u);
}

}  // namespace
}  // namespace conveyor::http
