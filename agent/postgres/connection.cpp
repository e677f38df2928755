#include "postgres/connection.hpp"

#include <poll.h>

#include <spdlog/spdlog.h>

#include <algorithm>

#include "decide/log_text.hpp"

namespace conveyor {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

// How often a wait looks whether it was asked to stop.
constexpr milliseconds stop_check{100};
constexpr std::chrono::seconds connect_patience{15};

std::string trimmed(const char* message) {
  std::string text = message ? message : "";
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  for (char& c : text)
    if (c == '\n' || c == '\r') c = ' ';
  return text;
}

std::string field(const PGresult* result, int code) {
  const char* value = PQresultErrorField(result, code);
  return value ? trimmed(value) : std::string();
}

}  // namespace

Connection::Connection(const std::string& conninfo, const std::string& application_name, std::stop_token stop)
    : stop_(std::move(stop)) {
  // Later keywords win over what conninfo says, fallback_application_name does not. No statement depends on the
  // session's settings but for the encoding, which poolers carry over.
  const char* keywords[] = {"keepalives",
                            "keepalives_idle",
                            "keepalives_interval",
                            "keepalives_count",
                            "tcp_user_timeout",
                            "dbname",
                            "fallback_application_name",
                            "client_encoding",
                            nullptr};
  const char* values[] = {"1", "10", "5", "3", "30000", conninfo.c_str(), application_name.c_str(), "UTF8", nullptr};
  connection_ = PQconnectStartParams(keywords, values, 1);
  if (!connection_) throw std::bad_alloc();
  const auto deadline = steady_clock::now() + connect_patience;
  try {
    for (PostgresPollingStatusType polled = PGRES_POLLING_WRITING; polled != PGRES_POLLING_OK;) {
      if (polled == PGRES_POLLING_FAILED || PQstatus(connection_) == CONNECTION_BAD)
        throw DatabaseError("", trimmed(PQerrorMessage(connection_)));
      if (PQsocket(connection_) >= 0) wait(polled == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline);
      polled = PQconnectPoll(connection_);
    }
    PQsetNoticeProcessor(
        connection_,
        [](void*, const char* message) { spdlog::debug("event=notice message={}", log_text(trimmed(message))); },
        nullptr);
    if (PQsetnonblocking(connection_, 1) != 0 || PQenterPipelineMode(connection_) != 1)
      throw DatabaseError("", trimmed(PQerrorMessage(connection_)));
  } catch (...) {
    PQfinish(connection_);
    throw;
  }
  usable_ = true;
}

Connection::~Connection() { PQfinish(connection_); }

void Connection::lost(const std::string& message) {
  usable_ = false;
  throw DatabaseError("", message);
}

void Connection::wait(short events, std::optional<steady_clock::time_point> deadline) {
  for (;;) {
    if (stop_.stop_requested()) throw Stopped();
    milliseconds slice = stop_check;
    if (deadline) {
      const auto left = std::chrono::ceil<milliseconds>(*deadline - steady_clock::now());
      if (left.count() <= 0) {
        cancel();
        lost("no answer from the server in time");
      }
      slice = std::min(slice, left);
    }
    pollfd entry{PQsocket(connection_), events, 0};
    const int ready = poll(&entry, 1, static_cast<int>(slice.count()));
    if (ready > 0) return;
    if (ready < 0 && errno != EINTR) lost("could not wait for the server");
  }
}

void Connection::flush() {
  for (int left; (left = PQflush(connection_)) != 0;) {
    if (left < 0) lost(trimmed(PQerrorMessage(connection_)));
    // The server may stop reading until we have read what it sent.
    wait(POLLIN | POLLOUT, std::nullopt);
    if (!PQconsumeInput(connection_)) lost(trimmed(PQerrorMessage(connection_)));
  }
}

void Connection::send_plain(const char* sql) {
  if (!PQsendQueryParams(connection_, sql, 0, nullptr, nullptr, nullptr, nullptr, 0))
    lost(trimmed(PQerrorMessage(connection_)));
}

void Connection::send(const Statement& statement, const Parameters& parameters, int result_format) {
  std::vector<const char*> values;
  for (const auto& parameter : parameters) values.push_back(parameter ? parameter->c_str() : nullptr);
  const int count = static_cast<int>(values.size());
  const int sent =
      prepare_ ? PQsendQueryPrepared(connection_, statement.name, count, values.data(), nullptr, nullptr, result_format)
               : PQsendQueryParams(connection_, statement.sql, count, nullptr, values.data(), nullptr, nullptr,
                                   result_format);
  if (!sent) lost(trimmed(PQerrorMessage(connection_)));
}

// The next result of the pipeline, or nullptr between two of its statements.
PGresult* Connection::result(std::optional<steady_clock::time_point> deadline) {
  while (PQisBusy(connection_)) {
    wait(POLLIN, deadline);
    if (!PQconsumeInput(connection_)) lost(trimmed(PQerrorMessage(connection_)));
  }
  return PQgetResult(connection_);
}

// Reads up to and with the synchronisation point, so that the connection can be used again.
void Connection::finish_pipeline(std::optional<steady_clock::time_point> deadline) {
  for (int nulls = 0; nulls < 16;) {
    std::unique_ptr<PGresult, decltype(&PQclear)> next(result(deadline), PQclear);
    if (!next) {
      if (PQstatus(connection_) == CONNECTION_BAD) lost(trimmed(PQerrorMessage(connection_)));
      ++nulls;
      continue;
    }
    nulls = 0;
    const ExecStatusType status = PQresultStatus(next.get());
    if (status == PGRES_PIPELINE_SYNC) return;
    if (status == PGRES_FATAL_ERROR) {
      fail(next.release());
    }
  }
  lost("the server's answer broke off");
}

// Takes the result over; throws what it says, once the pipeline is at its end.
void Connection::fail(PGresult* failed) {
  std::unique_ptr<PGresult, decltype(&PQclear)> result(failed, PQclear);
  DatabaseError error(field(failed, PG_DIAG_SQLSTATE), field(failed, PG_DIAG_MESSAGE_PRIMARY),
                      field(failed, PG_DIAG_MESSAGE_HINT));
  if (const std::string detail = field(failed, PG_DIAG_MESSAGE_DETAIL); !detail.empty())
    error = DatabaseError(error.sqlstate, std::string(error.what()) + " (" + detail + ")", error.hint);
  if (error.sqlstate.empty()) lost(trimmed(PQresultErrorMessage(failed)));
  if (error.connection_lost() || PQstatus(connection_) == CONNECTION_BAD) {
    usable_ = false;
    throw error;
  }
  // A pooler gave us a backend that has not our statements, or has somebody else's of the same name.
  if (error.sqlstate == "26000" || error.sqlstate == "42P05") {
    prepare_ = false;
    prepared_.clear();
    error = DatabaseError("08000", error.what());
  }
  recover();
  throw error;
}

// After an error: to the pipeline's end, and out of the transaction, whose COMMIT was skipped.
void Connection::recover() {
  try {
    const auto deadline = steady_clock::now() + connect_patience;
    drain_pipeline(deadline);
    if (PQtransactionStatus(connection_) == PQTRANS_IDLE) return;
    send_plain("ROLLBACK");
    if (!PQpipelineSync(connection_)) lost(trimmed(PQerrorMessage(connection_)));
    flush();
    drain_pipeline(deadline);
  } catch (const DatabaseError&) {
    usable_ = false;
  }
}

void Connection::drain_pipeline(steady_clock::time_point deadline) {
  for (;;) {
    std::unique_ptr<PGresult, decltype(&PQclear)> next(result(deadline), PQclear);
    if (next && PQresultStatus(next.get()) == PGRES_PIPELINE_SYNC) return;
    if (!next && PQstatus(connection_) == CONNECTION_BAD) lost(trimmed(PQerrorMessage(connection_)));
  }
}

Rows Connection::query(const Statement& statement, const Parameters& parameters, milliseconds patience) {
  const auto deadline = steady_clock::now() + patience;
  try {
    const bool first = prepare_ && prepared_.insert(&statement).second;
    if (first && !PQsendPrepare(connection_, statement.name, statement.sql, 0, nullptr))
      lost(trimmed(PQerrorMessage(connection_)));
    send(statement, parameters, 0);
    if (!PQpipelineSync(connection_)) lost(trimmed(PQerrorMessage(connection_)));
    flush();
    std::unique_ptr<PGresult, decltype(&PQclear)> rows(nullptr, PQclear);
    while (!rows) {
      std::unique_ptr<PGresult, decltype(&PQclear)> next(result(deadline), PQclear);
      if (!next) {
        if (PQstatus(connection_) == CONNECTION_BAD) lost(trimmed(PQerrorMessage(connection_)));
        continue;
      }
      const ExecStatusType status = PQresultStatus(next.get());
      if (status == PGRES_TUPLES_OK) {
        rows = std::move(next);
      } else if (status != PGRES_COMMAND_OK) {
        prepared_.erase(&statement);
        fail(next.release());
      }
    }
    finish_pipeline(deadline);
    return Rows(rows.release());
  } catch (const Stopped&) {
    cancel();
    throw;
  }
}

void Connection::start_stream(const Statement& statement, const Parameters& parameters, milliseconds timeout) {
  try {
    const bool first = prepare_ && prepared_.insert(&statement).second;
    const std::string limit = "SET LOCAL statement_timeout = " + std::to_string(timeout.count());
    send_plain("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY");
    send_plain(limit.c_str());
    if (first && !PQsendPrepare(connection_, statement.name, statement.sql, 0, nullptr))
      lost(trimmed(PQerrorMessage(connection_)));
    send(statement, parameters, 1);
    send_plain("COMMIT");
    if (!PQpipelineSync(connection_)) lost(trimmed(PQerrorMessage(connection_)));
    flush();
    // Results of what goes before the statement itself.
    for (int before = first ? 3 : 2; before > 0;) {
      std::unique_ptr<PGresult, decltype(&PQclear)> next(result(std::nullopt), PQclear);
      if (!next) {
        if (PQstatus(connection_) == CONNECTION_BAD) lost(trimmed(PQerrorMessage(connection_)));
        --before;
      } else if (PQresultStatus(next.get()) != PGRES_COMMAND_OK) {
        prepared_.erase(&statement);
        fail(next.release());
      }
    }
    if (!PQsetSingleRowMode(connection_)) lost("could not read row by row");
  } catch (const Stopped&) {
    cancel();
    throw;
  }
}

bool Connection::next(std::string_view& value) {
  try {
    for (;;) {
      row_.reset(result(std::nullopt));
      if (!row_) {
        if (PQstatus(connection_) == CONNECTION_BAD) lost(trimmed(PQerrorMessage(connection_)));
        continue;
      }
      switch (PQresultStatus(row_.get())) {
        case PGRES_SINGLE_TUPLE:
          value = {PQgetvalue(row_.get(), 0, 0), static_cast<std::size_t>(PQgetlength(row_.get(), 0, 0))};
          largest_ = std::max(largest_, value.size());
          return true;
        case PGRES_TUPLES_OK:
          finish_pipeline(std::nullopt);
          return false;
        default:
          fail(row_.release());
      }
    }
  } catch (const Stopped&) {
    cancel();
    throw;
  }
}

void Connection::cancel() {
  usable_ = false;
  std::unique_ptr<PGcancel, decltype(&PQfreeCancel)> handle(PQgetCancel(connection_), PQfreeCancel);
  char error[256];
  if (handle && !PQcancel(handle.get(), error, sizeof error))
    spdlog::debug("event=cancel_failed message={}", log_text(trimmed(error)));
}

bool Connection::alive() {
  if (!usable_) return false;
  pollfd entry{PQsocket(connection_), POLLIN, 0};
  if (poll(&entry, 1, 0) <= 0) return true;
  // Something unasked for: a notice, or the server's farewell.
  if (!PQconsumeInput(connection_) || PQstatus(connection_) == CONNECTION_BAD) usable_ = false;
  return usable_;
}

}  // namespace conveyor
