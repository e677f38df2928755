#include "cli/resync_command.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <optional>
#include <thread>

#include "cli/configuration.hpp"
#include "cli/exit_status.hpp"
#include "cli/interruption.hpp"
#include "cli/key_source.hpp"
#include "cli/lint_command.hpp"
#include "decide/clock.hpp"
#include "decide/key_pages.hpp"
#include "postgres/arrays.hpp"
#include "postgres/connection.hpp"

namespace conveyor {

namespace {

using namespace std::chrono_literals;

const Statement load_begin_call{"load_begin", "SELECT conveyor.load_begin($1, 'file', $2)"};
const Statement load_keys_call{"load_keys", "SELECT item, problem FROM conveyor.load_keys($1::bigint, $2::text[])"};
const Statement load_end_call{"load_end", "SELECT conveyor.load_end($1::bigint)"};
const Statement load_fail_call{"load_fail", "SELECT conveyor.load_fail($1::bigint, $2)"};
const Statement query_call{"resync_query", "SELECT conveyor.resync_query($1, $2)"};
const Statement status_call{"resync_status",
                            "SELECT state, keys_done, keys_total, percent, last_error FROM conveyor.resync_status "
                            "WHERE id = $1::bigint"};

// A query runs to its end before it answers.
constexpr std::chrono::hours query_patience{24};
// Lines that are no ids: so many are shown; with more than the second number, the file is no list of ids.
constexpr std::size_t most_shown = 20;
constexpr std::uint64_t most_bad = 1000;

struct ResyncOptions {
  std::string delivery, database, keys, query, ca_file;
  bool skip_invalid = false, wait = false;
};

// The list turned out to be none; the request has been told.
class NotAList : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// One line on standard error that is written anew, where a person watches.
class ProgressLine {
 public:
  void show(const std::string& text) {
    if (!watched_ || Clock::now() < next_) return;
    std::cerr << "\r\033[K" << text << std::flush;
    shown_ = true;
    next_ = Clock::now() + 500ms;
  }
  void end() {
    if (shown_) std::cerr << "\r\033[K" << std::flush;
    shown_ = false;
  }

 private:
  const bool watched_ = isatty(STDERR_FILENO) == 1;
  bool shown_ = false;
  Time next_{};
};

// Brings a list of ids to the database, page by page.
class Load {
 public:
  Load(Connection& connection, const ResyncOptions& options)
      : connection_(connection), options_(options), source_{options.keys, options.ca_file} {}

  // Returns the request's id.
  std::string run(const std::stop_token& stop) {
    OpenSource source(source_);
    request_ = first_answer();
    // A page takes a moment; stopping between two of them leaves a session that can say why the request has failed.
    connection_.stop_with({});
    try {
      KeyPages pages([this](const KeyPage& page) { store(page); }, [this](const BadLine& line) { refuse(line); });
      source.read(
          stop, [&](std::string_view bytes) { pages.give(bytes); },
          [this](const std::string& text) {
            progress_.end();
            std::cerr << "conveyor: " << text << "\n";
          });
      pages.finish();
      if (stop.stop_requested()) throw Stopped();
      if (bad_ > 0 && !options_.skip_invalid) give_up();
    } catch (const SourceError& error) {
      fail(error.what());
      throw;
    } catch (const Stopped&) {
      fail("interrupted");
      throw;
    }
    progress_.end();
    keys_ = connection_.query(load_end_call, {request_}).get(0).value_or("0");
    connection_.stop_with(stop);
    return request_;
  }

  const std::string& keys() const { return keys_; }
  std::uint64_t bad() const { return bad_; }

 private:
  std::string first_answer() {
    try {
      return connection_.query(load_begin_call, {options_.delivery, source_.name()}).get(0).value();
    } catch (const DatabaseError& error) {
      throw with_remedy(error, "conveyor_operator", connection_.user());
    }
  }

  void store(const KeyPage& page) {
    const Rows refused = connection_.query(load_keys_call, {request_, text_array(page.keys)});
    for (int row = 0; row < refused.size(); ++row) {
      const std::size_t item = std::stoul(refused.get(row, 0).value()) - 1;
      refuse({page.lines.at(item), page.keys.at(item), refused.get(row, 1).value_or("")});
    }
    read_ += page.keys.size();
    progress_.show(fmt::format("{} keys read", read_));
  }

  void refuse(const BadLine& line) {
    const std::string text =
        fmt::format("{}:{}: {}: {}", source_.name(), line.line, shown_line(line.text), line.problem);
    if (bad_++ == 0) first_ = text;
    progress_.end();
    if (bad_ <= most_shown) std::cerr << text << "\n";
    if (bad_ > most_bad && !options_.skip_invalid) give_up();
  }

  [[noreturn]] void give_up() {
    const std::string count = bad_ > most_bad ? fmt::format("more than {}", most_bad) : std::to_string(bad_);
    const std::string problem = fmt::format("{} of its lines are no ids, the first: {}", count, first_);
    fail(problem);
    const bool one = bad_ == 1;
    throw NotAList(fmt::format("nothing is sent: {} {} of {} {}", count, one ? "line" : "lines", source_.name(),
                               one ? "is no id" : "are no ids"));
  }

  void fail(const std::string& reason) {
    progress_.end();
    connection_.query(load_fail_call, {request_, reason});
  }

  Connection& connection_;
  const ResyncOptions& options_;
  const KeySource source_;
  std::string request_, keys_, first_;
  std::uint64_t read_ = 0, bad_ = 0;
  ProgressLine progress_;
};

// Until the request has ended; the exit status.
int wait_for(Connection& connection, const std::string& request, const std::stop_token& stop) {
  ProgressLine progress;
  for (;;) {
    const Rows rows = connection.query(status_call, {request});
    const std::string state = rows.size() > 0 ? rows.get(0, 0).value_or("") : "cancelled";
    if (state == "finished" || state == "cancelled" || state == "failed") {
      progress.end();
      std::cout << "request " << request << " is " << state << "\n";
      if (rows.size() > 0)
        if (const auto error = rows.get(0, 4); error && state != "finished")
          std::cerr << "conveyor: " << *error << "\n";
      return state == "finished" ? done : not_so;
    }
    progress.show(fmt::format("request {} is {}: {} of {} keys", request, state, rows.get(0, 1).value_or("0"),
                              rows.get(0, 2).value_or("?")));
    for (const Time until = Clock::now() + 500ms; Clock::now() < until;) {
      if (stop.stop_requested()) throw Stopped();
      std::this_thread::sleep_for(50ms);
    }
  }
}

int resync(const ResyncOptions& options, const std::stop_token& stop) {
  Connection connection(options.database, "conveyor resync", stop);
  std::string request, keys;
  int status = done;
  if (!options.query.empty()) {
    const Findings findings = lint(connection, "query", options.query, options.delivery, false);
    std::cerr << findings.text;
    if (findings.error) return not_so;
    request = connection.query(query_call, {options.delivery, options.query}, query_patience).get(0).value();
    keys = connection.query(status_call, {request}).get(0, 2).value_or("0");
  } else {
    Load load(connection, options);
    request = load.run(stop);
    keys = load.keys();
    if (load.bad() > 0) {
      std::cerr << "conveyor: " << load.bad() << " of the lines are no ids and were left out\n";
      status = not_so;
    }
  }
  std::cout << fmt::format(
                   "request {}: {} keys; SELECT * FROM conveyor.resync_status WHERE id = {} shows how far it is\n",
                   request, keys, request)
            << std::flush;
  if (!options.wait) return status;
  return std::max(status, wait_for(connection, request, stop));
}

int run_resync(const ResyncOptions& options) {
  if (options.keys.empty() == options.query.empty())
    throw UsageError("give either --keys or --query (conveyor resync --help)");
  const Interruption interruption;
  try {
    return resync(options, interruption.token());
  } catch (const DatabaseError& error) {
    return report(error);
  } catch (const SourceError& error) {
    std::cerr << "conveyor: " << error.what() << "\n";
    return error.could_not_connect ? could_not_connect : not_so;
  } catch (const NotAList& error) {
    std::cerr << "conveyor: " << error.what() << "\n";
    return not_so;
  } catch (const Stopped&) {
    std::cerr << "conveyor: interrupted\n";
    return not_so;
  }
}

}  // namespace

void add_resync_command(CLI::App& app, Command& chosen) {
  const auto options = std::make_shared<ResyncOptions>();
  CLI::App* command = app.add_subcommand("resync", "send documents again: those of a list of ids, or of a query");
  command->add_option("DELIVERY", options->delivery, "whose documents")->required()->type_name("");
  command
      ->add_option("--keys", options->keys,
                   "ids, one a line, gzip or not: a file, - (standard input) or an address (http, https)")
      ->type_name("FILE|-|ADDRESS");
  command->add_option("--query", options->query, "one SELECT that returns the key's columns")->type_name("SQL");
  command->add_flag("--skip-invalid", options->skip_invalid,
                    "leave out lines that are no ids, instead of sending nothing");
  command->add_option("--ca-file", options->ca_file, "certificates to trust an address by (default: the system's)")
      ->type_name("FILE.pem");
  command->add_flag("--wait", options->wait, "until everything has been sent");
  add_database_option(*command, options->database);
  run_as(*command, chosen, [options] { return run_resync(*options); });
}

}  // namespace conveyor
