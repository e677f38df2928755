#include "cli/agent_command.hpp"

#include <malloc.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <memory>

#include "cli/configuration.hpp"
#include "cli/exit_status.hpp"
#include "decide/log_text.hpp"
#include "run/agent.hpp"
#include "serve/server.hpp"

namespace conveyor {

namespace {

using namespace std::chrono_literals;

// Leaves time to give the leases back within the ten seconds that service managers grant.
constexpr Duration drain_time = 8s;

// Large bodies come and go: each is to be a mapping of its own that leaves with it, and threads share two heaps.
void bound_memory() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

void start_log(const std::string& level) {
  const auto parsed = spdlog::level::from_str(level);
  if (parsed == spdlog::level::off && level != "off")
    throw UsageError("there is no log level \"" + level + "\": use trace, debug, info, warning, error or off");
  auto logger = std::make_shared<spdlog::logger>("conveyor", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("time=%Y-%m-%dT%H:%M:%S.%eZ level=%l %v", spdlog::pattern_time_type::utc);
  logger->set_level(parsed);
  spdlog::set_default_logger(std::move(logger));
}

std::string host_name() {
  char name[256] = "localhost";
  gethostname(name, sizeof name - 1);
  return name;
}

// The signals that end us come through a descriptor, so that no code runs in a handler.
class Signals {
 public:
  Signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    signal(SIGPIPE, SIG_IGN);
    descriptor_ = signalfd(-1, &set, SFD_CLOEXEC);
  }
  ~Signals() { close(descriptor_); }
  bool came(std::chrono::milliseconds patience) {
    pollfd entry{descriptor_, POLLIN, 0};
    if (::poll(&entry, 1, static_cast<int>(patience.count())) <= 0) return false;
    signalfd_siginfo info;
    return read(descriptor_, &info, sizeof info) == sizeof info;
  }

 private:
  int descriptor_;
};

int run_agent(Configuration configuration) {
  bound_memory();
  start_log(configuration.log_level);
  Signals signals;
  const std::string host = host_name();
  if (configuration.name.empty()) configuration.name = host + "/" + std::to_string(getpid());
  if (configuration.databases.empty()) configuration.databases.push_back("");

  Agent agent({configuration.name, host, CONVEYOR_VERSION, getpid(), configuration.tags}, configuration.databases,
              configuration.connections, configuration.memory);
  std::unique_ptr<Server> server;
  if (!configuration.http.empty()) {
    const HttpAddress address = parse_http_address(configuration.http);
    server = std::make_unique<Server>(agent);
    if (!server->listen(address.host, address.port)) throw UsageError("could not listen on " + configuration.http);
  }
  spdlog::info("event=start name={} version={} pid={} databases={}", log_text(configuration.name), CONVEYOR_VERSION,
               getpid(), configuration.databases.size());
  agent.start();
  while (!signals.came(200ms))
    if (agent.no_connection()) {
      spdlog::error("event=end reason=\"no database could be reached\"");
      return could_not_connect;
    }

  spdlog::info("event=draining seconds={}", std::chrono::duration_cast<std::chrono::seconds>(drain_time).count());
  const Time deadline = Clock::now() + drain_time;
  agent.wind_down(deadline);
  while (!agent.finished()) {
    // A second signal, or something that does not let go: nothing is lost by leaving, another agent takes over.
    if (signals.came(20ms) || Clock::now() > deadline + 1500ms) {
      spdlog::warn("event=end reason=\"left at once\"");
      spdlog::shutdown();
      _exit(done);
    }
  }
  spdlog::info("event=end");
  return done;
}

// The command line wins over the file.
struct AgentOptions {
  std::vector<std::string> databases, tags;
  std::string name, http, config;

  Configuration configuration() const {
    Configuration configuration;
    if (!config.empty()) read_configuration(config, configuration);
    if (!databases.empty()) configuration.databases = databases;
    if (!tags.empty()) configuration.tags = tags;
    if (!name.empty()) configuration.name = name;
    if (!http.empty()) {
      parse_http_address(http);
      configuration.http = http;
    }
    return configuration;
  }
};

}  // namespace

void add_agent_command(CLI::App& app, Command& chosen) {
  const auto options = std::make_shared<AgentOptions>();
  CLI::App* command = app.add_subcommand("agent", "run deliveries until told to end");
  add_database_option(*command, options->databases);
  command->add_option("--name", options->name, "what this agent is called in agent_status (default: host and process)")
      ->type_name("NAME");
  command->add_option("--tag", options->tags, "work on deliveries with this tag too; may be given several times")
      ->take_all()
      ->expected(1)
      ->type_name("TAG");
  command->add_option("--http", options->http, "serve /metrics, /healthz and /readyz there")->type_name("ADDRESS:PORT");
  command->add_option("--config", options->config, "settings; the command line wins")->type_name("FILE.toml");
  run_as(*command, chosen, [options] { return run_agent(options->configuration()); });
}

}  // namespace conveyor
