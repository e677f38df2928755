// One connection to PostgreSQL. Used by one thread at a time.
//
// Every call is one round trip: the statement, and BEGIN … COMMIT around it where it needs a transaction of a certain
// kind, travel in one pipeline. No call leaves session state behind that a later one needs, so a connection pooler
// between us and the server may hand out another backend for each transaction; where prepared statements turn out not
// to survive that, the connection goes on without them.
#pragma once

#include <libpq-fe.h>

#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "postgres/error.hpp"

namespace conveyor {

// Addresses identify statements: they live in static storage.
struct Statement {
  const char* name;
  const char* sql;
};

using Parameters = std::vector<std::optional<std::string>>;

// The whole result of a small query, in text.
class Rows {
 public:
  explicit Rows(PGresult* result) : result_(result, PQclear) {}
  int size() const { return PQntuples(result_.get()); }
  std::optional<std::string> get(int row, int column = 0) const {
    if (PQgetisnull(result_.get(), row, column)) return std::nullopt;
    return std::string(PQgetvalue(result_.get(), row, column),
                       static_cast<std::size_t>(PQgetlength(result_.get(), row, column)));
  }

 private:
  std::unique_ptr<PGresult, decltype(&PQclear)> result_;
};

class Connection {
 public:
  // Throws DatabaseError, or Stopped.
  Connection(const std::string& conninfo, const std::string& application_name, std::stop_token stop);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // Whose stop ends the waits of this connection from now on.
  void stop_with(std::stop_token stop) { stop_ = std::move(stop); }

  // One statement in a transaction of its own. No answer within `patience` counts as a lost connection.
  Rows query(const Statement& statement, const Parameters& parameters = {},
             std::chrono::milliseconds patience = std::chrono::seconds(60));

  // A statement of one bytea column in a READ ONLY transaction of its own, row by row; `timeout` is its
  // statement_timeout (0: none). Until next() has returned false, or cancel() was called, nothing else can be asked.
  void start_stream(const Statement& statement, const Parameters& parameters, std::chrono::milliseconds timeout);
  bool next(std::string_view& value);

  // As whom it is connected.
  std::string user() const { return PQuser(connection_); }

  // Asks the server to give up what it does for us; the connection is of no use afterwards.
  void cancel();
  bool usable() const { return usable_; }
  // libpq never gives back the memory that one large value took.
  bool worth_keeping() const { return usable_ && largest_ <= largest_kept; }
  // False when the server has closed the connection while it was idle.
  bool alive();

 private:
  void send(const Statement& statement, const Parameters& parameters, int result_format);
  void send_plain(const char* sql);
  void flush();
  PGresult* result(std::optional<std::chrono::steady_clock::time_point> deadline);
  void wait(short events, std::optional<std::chrono::steady_clock::time_point> deadline);
  void finish_pipeline(std::optional<std::chrono::steady_clock::time_point> deadline);
  void recover();
  void drain_pipeline(std::chrono::steady_clock::time_point deadline);
  [[noreturn]] void fail(PGresult* result);
  [[noreturn]] void lost(const std::string& message);

  PGconn* connection_ = nullptr;
  std::stop_token stop_;
  std::set<const Statement*> prepared_;
  bool prepare_ = true;
  bool usable_ = false;
  static constexpr std::size_t largest_kept = 1u << 20;
  std::size_t largest_ = 0;  // bytes of the largest value that was read
  std::unique_ptr<PGresult, decltype(&PQclear)> row_{nullptr, PQclear};
};

}  // namespace conveyor
