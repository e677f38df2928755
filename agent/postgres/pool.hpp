// A bounded pool of sessions to one database. Any thread.
//
// Reading documents holds a session while the target takes them; checkpoints and fences must get through all the same,
// or nothing would ever be released. So some sessions are kept for short calls. Reading keys holds a session while the
// documents of those keys are read over others; so only a quarter of the sessions reads keys at any time, or nobody
// could go on.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "postgres/connection.hpp"

namespace conveyor {

class Pool {
 public:
  Pool(std::string conninfo, std::string application_name, int connections);

  class Session {
   public:
    Session(Pool& pool, std::unique_ptr<Connection> connection, std::string use)
        : pool_(&pool), connection_(std::move(connection)), use_(std::move(use)) {}
    Session(Session&&) noexcept = default;
    Session& operator=(Session&&) = delete;
    ~Session();
    Connection* operator->() { return connection_.get(); }
    Connection& operator*() { return *connection_; }

   private:
    Pool* pool_;
    std::unique_ptr<Connection> connection_;
    std::string use_;
  };

  // Each waits for a free session. `target`: whose documents these are; one target may hold no more than half of the
  // sessions with documents, and no more than half of those with keys.
  Session documents(const std::string& target, std::stop_token stop);
  Session keys(const std::string& target, std::stop_token stop);
  Session brief(std::stop_token stop);

  // Forgets idle sessions, after the server went away.
  void drop_idle();
  int in_use() const;

 private:
  // `use`: "d" or "k" and the target's name; empty: a short call.
  Session acquire(const std::string& use, std::stop_token stop);
  bool may_take(const std::string& use) const;
  int used_for(const std::string& use) const;
  void give_back(std::unique_ptr<Connection> connection, const std::string& use);

  const std::string conninfo_, application_name_;
  mutable std::mutex mutex_;
  std::condition_variable_any freed_;
  const int connections_;
  int in_use_ = 0, reading_keys_ = 0;
  std::map<std::string, int> uses_;  // sessions by use
  std::vector<std::unique_ptr<Connection>>
      idle_;  // last used at the back: its statements are prepared, its caches warm
};

}  // namespace conveyor
