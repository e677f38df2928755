// A bounded pool of sessions to one database. Any thread.
//
// Reading documents holds a session for as long as the target takes them; checkpoints and fences must get through all
// the same, or nothing would ever be released. So `reserve` sessions are kept for short calls.
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
    Session(Pool& pool, std::unique_ptr<Connection> connection, std::string target)
        : pool_(&pool), connection_(std::move(connection)), target_(std::move(target)) {}
    Session(Session&&) noexcept = default;
    Session& operator=(Session&&) = delete;
    ~Session();
    Connection* operator->() { return connection_.get(); }
    Connection& operator*() { return *connection_; }

   private:
    Pool* pool_;
    std::unique_ptr<Connection> connection_;
    std::string target_;  // empty: a short call
  };

  // Waits for a free session. `target`: whose reading this is for; one target may hold no more than half of them.
  Session read(const std::string& target, std::stop_token stop);
  Session brief(std::stop_token stop);

  void resize(int connections);
  // Forgets idle sessions, after the server went away.
  void drop_idle();
  int in_use() const;

 private:
  Session acquire(const std::string& target, std::stop_token stop);
  bool may_take(const std::string& target) const;
  void give_back(std::unique_ptr<Connection> connection, const std::string& target);

  const std::string conninfo_, application_name_;
  mutable std::mutex mutex_;
  std::condition_variable_any freed_;
  int connections_;
  int in_use_ = 0;
  std::map<std::string, int> reading_;  // sessions by target
  std::vector<std::unique_ptr<Connection>> idle_;  // last used at the back: its statements are prepared, its caches warm
};

}  // namespace conveyor
