// HTTP requests without waiting: one thread, one libcurl multi handle, connections kept alive.
//
// Threads: every member may be called from any thread. Callbacks run on the client's own thread and must not block;
// post() and after() run a function there, so that whoever keeps all state to that thread needs no lock. The destructor
// ends the thread; requests still under way then end as `unanswered`, their callbacks are called first.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "decide/clock.hpp"

namespace conveyor::http {

// What all requests of a client share.
struct Settings {
  Duration connect_timeout = std::chrono::seconds(5);
  Duration request_timeout = std::chrono::seconds(60);
  bool tls_verify = true;  // certificate and host name
  std::string ca_file;     // PEM; empty: the system's
  std::string cert_file, key_file;
  // Secrets: sent, never logged, never part of an error's text.
  std::string user, password;  // basic
  std::string api_key;         // "Authorization: ApiKey …", wins over user and password
};

struct Request {
  std::string method = "GET";
  std::string url;                       // whole: scheme, host, port, path, query
  std::string content_type;              // empty: no body
  std::string_view body;                 // read in place
  std::shared_ptr<const void> owner;     // keeps what `body` points into
  bool gzip = false;                     // compress the body on the way out
  bool expect_continue = false;          // let the server refuse the body by its size before it is sent
  Duration timeout{0};                   // zero: the settings' request_timeout
  std::size_t max_response = 64u << 20;  // bytes; a longer answer counts as none
};

enum class End {
  answered,    // a complete answer
  not_sent,    // it certainly did not reach the server (no connection, TLS refused): nothing will come of it
  unanswered,  // it may have been applied, now or later
};

struct Response {
  End end = End::unanswered;
  int status = 0;
  std::string body;
  std::string error;           // of curl, when not answered: "connection refused at 127.0.0.1:9200"
  bool cut_short = false;      // the connection broke while the body was being sent: it may be too large
  bool refused_by_us = false;  // TLS did not verify: no use trying again by itself
  double seconds = 0;
};

class Client {
 public:
  using Callback = std::function<void(Response)>;
  using Function = std::function<void()>;

  explicit Client(Settings settings);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void request(Request request, Callback callback);
  // The same, waiting for the answer. Not from the client's own thread.
  Response wait(Request request);

  void post(Function function);
  void after(Duration delay, Function function);

  // For the next request.
  void configure(Settings settings);

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace conveyor::http
