#include "run/shared_target.hpp"

#include <algorithm>
#include <vector>

#include "run/json.hpp"

namespace conveyor {

namespace {

constexpr std::size_t least_bytes = 1u << 20;

// What makes two targets one place.
std::string place(const std::string& kind, const std::string& options, const std::string& secret) {
  const Json parsed = parse_json(options);
  std::string identity = kind + '\n' + secret;
  for (const char* name : {"url", "directory", "user"}) identity += '\n' + text_member(parsed.get(), name);
  return identity;
}

}  // namespace

Result<std::shared_ptr<SharedTarget>> TargetRegistry::find(const std::string& kind, const std::string& options,
                                                           const std::string& secret) {
  std::lock_guard lock(mutex_);
  auto& known = places_[place(kind, options, secret)];
  auto shared = known.lock();
  if (!shared) {
    auto made = make_target(kind, options, secret);
    if (!made) return {std::nullopt, made.failure};
    shared = std::make_shared<SharedTarget>(std::move(*made.value), bytes_);
    shared->options = options;
    known = shared;
    share();
  } else if (shared->options != options) {
    shared->target->reconfigure(options);
    shared->options = options;
  }
  return {shared, {}};
}

void TargetRegistry::set_bytes(std::size_t bytes) {
  std::lock_guard lock(mutex_);
  bytes_ = bytes;
  share();
}

void TargetRegistry::share() {
  std::erase_if(places_, [](const auto& entry) { return entry.second.expired(); });
  std::vector<std::shared_ptr<SharedTarget>> present;
  for (const auto& [identity, known] : places_)
    if (auto shared = known.lock()) present.push_back(std::move(shared));
  for (const auto& shared : present)
    shared->budget.set_capacity(std::max(least_bytes, bytes_ / std::max<std::size_t>(1, present.size())));
}

}  // namespace conveyor
