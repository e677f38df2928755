// What PostgreSQL said when it refused, and what that means for the work that was going on.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace conveyor {

enum class Trouble {
  lease_lost,  // another agent owns the delivery, or it went stale: drop all work of it
  protocol,    // agent and extension do not fit
  data,        // the view cannot make some document: find out which
  timeout,     // statement_timeout: too much at once, or one document that takes too long
  definition,  // the view, a relation or a right is missing: a person must act
  transient,   // connection, deadlock, resources: the same may succeed later
};

Trouble classify(std::string_view sqlstate);

// What to run when the first statement on a connection is refused, since the extension or a right is missing; empty
// when that is not why. `role` is what `user` needs.
std::string first_remedy(std::string_view sqlstate, std::string_view role, std::string_view user);

// An empty sqlstate means that the connection itself failed.
class DatabaseError : public std::runtime_error {
 public:
  DatabaseError(std::string state, const std::string& message, std::string advice = {})
      : std::runtime_error(message), sqlstate(std::move(state)), hint(std::move(advice)) {}

  Trouble trouble() const { return classify(sqlstate); }
  bool connection_lost() const { return sqlstate.empty() || sqlstate.starts_with("08") || sqlstate.starts_with("57P"); }
  // "SQLSTATE: message", as dead letters and delivery_status show it.
  std::string text() const { return sqlstate.empty() ? std::string(what()) : sqlstate + ": " + what(); }

  std::string sqlstate;
  std::string hint;
};

// Thrown out of any wait when its stop_token was asked to stop: the piece of work is abandoned, nothing is recorded.
class Stopped : public std::runtime_error {
 public:
  Stopped() : std::runtime_error("stopped") {}
};

}  // namespace conveyor
