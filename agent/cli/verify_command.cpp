#include "cli/verify_command.hpp"

#include <CLI/CLI.hpp>

#include <signal.h>
#include <unistd.h>

#include <condition_variable>
#include <iostream>
#include <memory>
#include <thread>

#include "cli/configuration.hpp"
#include "cli/exit_status.hpp"
#include "verify/verify_text.hpp"

namespace conveyor {

namespace {

using namespace std::chrono_literals;

// Shows on standard error how far it is: one line that is written over on a terminal, else one now and then.
class ProgressLine {
 public:
  explicit ProgressLine(const Verifier& verifier)
      : thread_([this, &verifier](std::stop_token stop) {
          const Duration pause = terminal_ ? Duration(500ms) : Duration(10s);
          std::mutex mutex;
          std::unique_lock lock(mutex);
          std::condition_variable_any never;
          while (never.wait_for(lock, stop, pause, [] { return false; }), !stop.stop_requested())
            show(progress_text(verifier.progress()));
          if (terminal_) std::cerr << "\r\033[K" << std::flush;
        }) {}

 private:
  void show(const std::string& text) const {
    if (terminal_)
      std::cerr << "\r\033[K" << text << std::flush;
    else
      std::cerr << text << std::endl;
  }

  const bool terminal_ = isatty(STDERR_FILENO) != 0;
  std::jthread thread_;  // last: it ends first
};

int run_verify(const VerifyOptions& options, std::int64_t most_shown) {
  signal(SIGPIPE, SIG_IGN);
  std::unique_ptr<Verifier> verifier;
  try {
    verifier = std::make_unique<Verifier>(options);
    {
      const ProgressLine line(*verifier);
      verifier->run();
    }
    Differences differences;
    std::int64_t shown = 0;
    verifier->differences([&](const NotedKey& noted) {
      ++(noted.kind == "missing" ? differences.missing
         : noted.kind == "extra" ? differences.extra
                                 : differences.different);
      differences.repaired += noted.repaired;
      if (++shown <= most_shown) std::cout << difference_text(noted) << "\n";
    });
    verifier->finish();
    if (shown > most_shown)
      std::cerr << "and " << grouped(shown - most_shown)
                << " more: SELECT * FROM conveyor.difference WHERE delivery = '" << options.delivery << "'\n";
    std::cout << std::flush;
    std::cerr << verdict_text(options.delivery, verifier->progress(), differences) << "\n";
    return differences.none() ? done : not_so;
  } catch (const DatabaseError& error) {
    const int status = report(verifier ? with_remedy(error, "conveyor_agent", verifier->user()) : error);
    // A delivery that does not exist, or whose target cannot be read: the question is wrong, not the answer.
    return error.sqlstate == "42704" || error.sqlstate == "0A000" ? usage : status;
  } catch (const VerifyTrouble& trouble) {
    std::cerr << "conveyor: " << trouble.what() << "\n"
              << "hint: the same command goes on where this one has stopped\n";
    return trouble.unreachable ? could_not_connect : not_so;
  }
}

}  // namespace

void add_verify_command(CLI::App& app, Command& chosen) {
  struct Options {
    VerifyOptions verify;
    std::string config;
    double wait = 60;
    std::int64_t most_shown = 1000;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("verify", "compare the documents of a delivery with those in its target");
  command->add_option("delivery", options->verify.delivery, "which")->required()->type_name("DELIVERY");
  add_database_option(*command, options->verify.database);
  command->add_flag("--repair", options->verify.repair, "put back what differs");
  command->add_flag("--new", options->verify.anew, "begin again, even where an earlier run was cut off");
  command->add_option("--rate", options->verify.rate, "no more documents a second than this")
      ->type_name("DOCUMENTS")
      ->check(CLI::PositiveNumber);
  command->add_option("--connections", options->verify.connections, "ranges to compare at once (default: 2)")
      ->type_name("NUMBER")
      ->check(CLI::Range(1, 64));
  command
      ->add_option("--wait", options->wait,
                   "how long to bear with a delivery or target that does not come on (default: 60)")
      ->type_name("SECONDS")
      ->check(CLI::PositiveNumber);
  command->add_option("--show", options->most_shown, "how many differences to list (default: 1000)")
      ->type_name("NUMBER")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--config", options->config, "the agent's settings, for the secrets of targets")
      ->type_name("FILE.toml");
  run_as(*command, chosen, [options] {
    Configuration configuration;
    if (!options->config.empty()) read_configuration(options->config, configuration);
    if (options->verify.database.empty() && configuration.databases.size() == 1)
      options->verify.database = configuration.databases.front();
    options->verify.patience = from_seconds(options->wait);
    return run_verify(options->verify, options->most_shown);
  });
}

}  // namespace conveyor
