#include "decide/nodes.hpp"

#include <algorithm>
#include <functional>
#include <random>

#include <fmt/format.h>

namespace conveyor {

namespace {

constexpr auto first_wait = std::chrono::milliseconds(500);
constexpr auto longest_wait = std::chrono::seconds(15);

}  // namespace

Nodes::Nodes(std::vector<std::string> urls) { assign(std::move(urls)); }

void Nodes::assign(std::vector<std::string> urls) {
  const std::lock_guard lock(mutex_);
  if (std::ranges::equal(urls, nodes_, {}, {}, &Node::url)) return;
  nodes_.clear();
  for (std::string& url : urls) {
    Node node{
        .url = std::move(url), .backoff = Backoff(first_wait, longest_wait, std::random_device{}()), .reason = {}};
    nodes_.push_back(std::move(node));
  }
  turn_ = 0;
}

std::optional<std::string> Nodes::pick() {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const Node& node = nodes_[turn_++ % nodes_.size()];
    if (!node.down) return node.url;
  }
  return std::nullopt;
}

std::optional<Duration> Nodes::failed(const std::string& url, const std::string& reason, Time now) {
  const std::lock_guard lock(mutex_);
  Node* node = find(url);
  if (!node || node->down) return std::nullopt;
  return set_down(*node, reason, now);
}

std::optional<Duration> Nodes::probe_failed(const std::string& url, const std::string& reason, Time now) {
  const std::lock_guard lock(mutex_);
  Node* node = find(url);
  if (!node || !node->down) return std::nullopt;
  return set_down(*node, reason, now);
}

void Nodes::up(const std::string& url) {
  const std::lock_guard lock(mutex_);
  Node* node = find(url);
  if (!node) return;
  node->down = false;
  node->backoff.reset();
}

std::string Nodes::condition(Time now) const {
  const std::lock_guard lock(mutex_);
  const auto down = std::ranges::count_if(nodes_, &Node::down);
  if (down == 0) return {};
  const auto soonest =
      std::ranges::min_element(nodes_, {}, [](const Node& n) { return n.down ? n.next_probe : Time::max(); });
  const double wait = seconds(soonest->next_probe - now);
  std::string text =
      soonest->reason + (wait < 0.05 ? ", being tried again" : fmt::format(", next attempt in {:.1f} s", wait));
  if (static_cast<std::size_t>(down) < nodes_.size())
    text += fmt::format(" ({} of {} nodes down)", down, nodes_.size());
  return text;
}

Nodes::Node* Nodes::find(const std::string& url) {
  const auto found = std::ranges::find(nodes_, url, &Node::url);
  return found == nodes_.end() ? nullptr : &*found;
}

std::optional<Duration> Nodes::set_down(Node& node, const std::string& reason, Time now) {
  const Duration wait = node.backoff.next();
  node.down = true;
  node.reason = reason;
  node.next_probe = now + wait;
  return wait;
}

}  // namespace conveyor
