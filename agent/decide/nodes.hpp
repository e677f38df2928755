// The addresses of one cluster: which of them to ask next, which are down and when to look at them again.
//
// A node is taken to be up until it fails. A node that is down gets no work; a single probe at a time (the caller's)
// finds out whether it is back. May be called from any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "decide/backoff.hpp"
#include "decide/clock.hpp"

namespace conveyor {

class Nodes {
 public:
  explicit Nodes(std::vector<std::string> urls);

  // Forgets what it knew when the addresses are others.
  void assign(std::vector<std::string> urls);

  // The next one that is up, in turn.
  std::optional<std::string> pick();

  // It did not answer. Returns how long to wait before a probe; nothing when one is under way already (or the node is
  // gone).
  std::optional<Duration> failed(const std::string& url, const std::string& reason, Time now);
  // The probe failed: how long until the next one.
  std::optional<Duration> probe_failed(const std::string& url, const std::string& reason, Time now);
  void up(const std::string& url);

  // "connection refused at 127.0.0.1:9200, next attempt in 3.4 s" (or "being tried again"); empty when all are up.
  std::string condition(Time now) const;

 private:
  struct Node {
    std::string url;
    Backoff backoff;
    bool down = false;
    std::string reason;
    Time next_probe{};
  };

  Node* find(const std::string& url);
  std::optional<Duration> set_down(Node& node, const std::string& reason, Time now);

  mutable std::mutex mutex_;
  std::vector<Node> nodes_;
  std::size_t turn_ = 0;
};

}  // namespace conveyor
