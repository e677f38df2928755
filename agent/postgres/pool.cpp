#include "postgres/pool.hpp"

#include <algorithm>

namespace conveyor {

namespace {
constexpr int reserve = 2;
constexpr int least = 4;
}  // namespace

Pool::Pool(std::string conninfo, std::string application_name, int connections)
    : conninfo_(std::move(conninfo)),
      application_name_(std::move(application_name)),
      connections_(std::max(connections, least)) {}

Pool::Session::~Session() {
  if (connection_) pool_->give_back(std::move(connection_), use_);
}

Pool::Session Pool::documents(const std::string& target, std::stop_token stop) {
  return acquire("d" + target, std::move(stop));
}

Pool::Session Pool::keys(const std::string& target, std::stop_token stop) {
  return acquire("k" + target, std::move(stop));
}

Pool::Session Pool::brief(std::stop_token stop) { return acquire({}, std::move(stop)); }

int Pool::used_for(const std::string& use) const {
  const auto found = uses_.find(use);
  return found == uses_.end() ? 0 : found->second;
}

bool Pool::may_take(const std::string& use) const {
  if (use.empty()) return in_use_ < connections_;
  if (in_use_ >= connections_ - reserve) return false;
  if (use.front() == 'd') return used_for(use) < connections_ / 2;
  const int most = std::max(1, connections_ / 4);
  return reading_keys_ < most && used_for(use) < std::max(1, most / 2);
}

Pool::Session Pool::acquire(const std::string& use, std::stop_token stop) {
  std::unique_ptr<Connection> connection;
  {
    std::unique_lock lock(mutex_);
    if (!freed_.wait(lock, stop, [&] { return may_take(use); })) throw Stopped();
    ++in_use_;
    if (!use.empty()) ++uses_[use];
    if (use.starts_with('k')) ++reading_keys_;
    while (!idle_.empty() && !connection) {
      connection = std::move(idle_.back());
      idle_.pop_back();
      if (!connection->alive()) connection.reset();
    }
  }
  try {
    if (connection)
      connection->stop_with(stop);
    else
      connection = std::make_unique<Connection>(conninfo_, application_name_, stop);
  } catch (...) {
    give_back(nullptr, use);
    throw;
  }
  return Session(*this, std::move(connection), use);
}

void Pool::give_back(std::unique_ptr<Connection> connection, const std::string& use) {
  std::lock_guard lock(mutex_);
  --in_use_;
  if (!use.empty() && --uses_[use] == 0) uses_.erase(use);
  if (use.starts_with('k')) --reading_keys_;
  if (connection && connection->worth_keeping() && static_cast<int>(idle_.size()) + in_use_ < connections_) {
    connection->stop_with({});
    idle_.push_back(std::move(connection));
  }
  freed_.notify_all();
}

void Pool::drop_idle() {
  std::lock_guard lock(mutex_);
  idle_.clear();
}

int Pool::in_use() const {
  std::lock_guard lock(mutex_);
  return in_use_;
}

}  // namespace conveyor
