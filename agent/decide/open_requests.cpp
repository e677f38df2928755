#include "decide/open_requests.hpp"

#include <algorithm>

namespace conveyor {

OpenRequests::Id OpenRequests::open(std::uint64_t version) {
  requests_.emplace(next_, version);
  versions_.insert(version);
  return next_++;
}

void OpenRequests::settle(Id id) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  versions_.erase(versions_.find(found->second));
  requests_.erase(found);
}

void OpenRequests::lost(std::uint64_t version, Time now) {
  least_lost_ = std::min(version, least_lost_.value_or(version));
  if (!lost_since_) lost_since_ = now;
}

std::optional<std::uint64_t> OpenRequests::least() const {
  if (versions_.empty()) return least_lost_;
  return std::min(*versions_.begin(), least_lost_.value_or(*versions_.begin()));
}

}  // namespace conveyor
