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
  if (connection_) pool_->give_back(std::move(connection_), target_);
}

Pool::Session Pool::read(const std::string& target, std::stop_token stop) { return acquire(target, std::move(stop)); }

Pool::Session Pool::brief(std::stop_token stop) { return acquire({}, std::move(stop)); }

bool Pool::may_take(const std::string& target) const {
  if (target.empty()) return in_use_ < connections_;
  const auto own = reading_.find(target);
  return in_use_ < connections_ - reserve && (own == reading_.end() || own->second < connections_ / 2);
}

Pool::Session Pool::acquire(const std::string& target, std::stop_token stop) {
  std::unique_ptr<Connection> connection;
  {
    std::unique_lock lock(mutex_);
    if (!freed_.wait(lock, stop, [&] { return may_take(target); })) throw Stopped();
    ++in_use_;
    if (!target.empty()) ++reading_[target];
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
    give_back(nullptr, target);
    throw;
  }
  return Session(*this, std::move(connection), target);
}

void Pool::give_back(std::unique_ptr<Connection> connection, const std::string& target) {
  std::lock_guard lock(mutex_);
  --in_use_;
  if (!target.empty() && --reading_[target] == 0) reading_.erase(target);
  if (connection && connection->usable() && static_cast<int>(idle_.size()) + in_use_ < connections_) {
    connection->stop_with({});
    idle_.push_back(std::move(connection));
  }
  freed_.notify_all();
}

void Pool::resize(int connections) {
  std::lock_guard lock(mutex_);
  connections_ = std::max(connections, least);
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
