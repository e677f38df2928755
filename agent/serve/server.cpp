#include "serve/server.hpp"

#include <httplib.h>

#include <chrono>

#include "serve/metrics.hpp"

namespace conveyor {

namespace {
// A heartbeat is due twice a second; the lease is gone after some ten.
constexpr double late = 5;
}  // namespace

Server::Server(const Agent& agent) : agent_(agent), server_(std::make_unique<httplib::Server>()) {
  // The library would let several processes listen on one port, each getting some of the requests.
  server_->set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  server_->new_task_queue = [] { return new httplib::ThreadPool(2); };
  server_->Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
    response.set_content(metrics_text(agent_.identity(), agent_.status()), "text/plain; version=0.0.4; charset=utf-8");
  });
  server_->Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
    response.set_content("ok\n", "text/plain; charset=utf-8");
  });
  server_->Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
    std::string text;
    for (const DatabaseStatus& database : agent_.status())
      if (!database.connected || database.since_sync > late)
        text += "database " + database.name + ": " +
                (database.problem.empty() ? "no answer to the heartbeat" : database.problem) + "\n";
    response.status = text.empty() ? 200 : 503;
    response.set_content(text.empty() ? "ready\n" : text, "text/plain; charset=utf-8");
  });
}

Server::~Server() { server_->stop(); }

bool Server::listen(const std::string& host, int port) {
  if (!server_->bind_to_port(host.c_str(), port)) return false;
  thread_ = std::jthread([this] {
    server_->listen_after_bind();
    ended_ = true;
  });
  // stop() does nothing before the server runs.
  while (!server_->is_running() && !ended_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return true;
}

}  // namespace conveyor
