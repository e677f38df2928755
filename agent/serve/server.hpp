// /metrics for Prometheus, /healthz (the program works), /readyz (every database answers).
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "run/agent.hpp"

namespace httplib {
class Server;
}

namespace conveyor {

class Server {
 public:
  explicit Server(const Agent& agent);
  ~Server();
  // False when the address cannot be had.
  bool listen(const std::string& host, int port);

 private:
  const Agent& agent_;
  std::unique_ptr<httplib::Server> server_;
  std::atomic<bool> ended_ = false;  // the thread is done
  std::jthread thread_;
};

}  // namespace conveyor
