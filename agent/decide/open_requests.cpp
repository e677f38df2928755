#include "decide/open_requests.hpp"

#include <algorithm>

namespace conveyor {

OpenRequests::Id OpenRequests::open(std::uint64_t version) {
  requests_.emplace(next_, Request{version, std::nullopt});
  versions_.insert(version);
  return next_++;
}

void OpenRequests::settle(Id id) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  versions_.erase(versions_.find(found->second.version));
  requests_.erase(found);
}

void OpenRequests::unanswered(Id id, Time now) {
  const auto found = requests_.find(id);
  if (found != requests_.end()) found->second.unanswered_at = now;
}

std::size_t OpenRequests::expire(Time now) {
  std::size_t expired = 0;
  for (auto it = requests_.begin(); it != requests_.end();) {
    if (!it->second.unanswered_at || now - *it->second.unanswered_at < orphan_time_) {
      ++it;
      continue;
    }
    versions_.erase(versions_.find(it->second.version));
    it = requests_.erase(it);
    ++expired;
  }
  return expired;
}

std::optional<std::uint64_t> OpenRequests::least() const {
  if (versions_.empty()) return std::nullopt;
  return *versions_.begin();
}

std::optional<Time> OpenRequests::next_expiry() const {
  std::optional<Time> next;
  for (const auto& [id, request] : requests_) {
    if (!request.unanswered_at) continue;
    const Time expiry = *request.unanswered_at + orphan_time_;
    next = next ? std::min(*next, expiry) : expiry;
  }
  return next;
}

}  // namespace conveyor
