// One database: its control connection (heartbeat, claims, polling), its sessions, and the runners of the deliveries
// that this agent holds there. One thread; status() and the stopping calls may come from others.
#pragma once

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "decide/poll_interval.hpp"
#include "postgres/pool.hpp"
#include "run/removals.hpp"
#include "run/runner.hpp"
#include "run/shared_target.hpp"

namespace conveyor {

// Who this agent is.
struct AgentIdentity {
  std::string name, host, version;
  int pid = 0;
  std::vector<std::string> tags;
};

struct DatabaseStatus {
  std::string name;  // of the database; Agent::status() tells two of one name apart
  bool connected = false;
  double since_sync = 0;  // seconds since the last agent_sync() succeeded; infinite before the first
  std::string problem;
  std::vector<DeliveryReport> deliveries;
  std::vector<std::string> states;  // parallel to deliveries
};

class Database {
 public:
  Database(std::string conninfo, int connections, const AgentIdentity& identity, TargetRegistry& targets);
  ~Database();

  void start();
  // Nothing new; finishes by itself when all is settled or `deadline` has come, then gives the leases back.
  void wind_down(Time deadline);
  bool finished() const { return finished_; }
  // The first attempt to connect has been made.
  bool tried() const { return tried_; }
  // A server has answered, if only to refuse us as too old or too new.
  bool reached() const { return reached_; }
  DatabaseStatus status() const;

 private:
  struct Held {
    std::unique_ptr<Runner> runner;
    std::string state;
    std::int64_t sent_before = 0;                        // documents at the last report
    double rate = 0;                                     // documents/s, smoothed
    std::int64_t retries_telling = 0, retries_told = 0;  // in the report that is under way; in the last that arrived
    int lost_syncs = 0;  // times that agent_sync() named the lease after it was found lost
    Time renewed_at{};
  };

  void run();
  void serve(Connection& control);
  void introduce(Connection& control);
  void sync(Connection& control);
  std::string report_text();
  void take(DeliverySpec spec);
  void refuse(const DeliverySpec& spec, const Failure& failure);
  // True when there is a delivery that nobody holds.
  bool poll(Connection& control);
  void renew_leases(Connection& control);
  void retire(std::unique_ptr<Runner> runner);
  bool wound_down();
  void sleep(Duration duration);

  const std::string conninfo_;
  const AgentIdentity identity_;
  TargetRegistry& targets_;
  Pool pool_;
  Removals removals_;

  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::map<std::string, Held> held_;            // by delivery
  std::map<std::string, std::string> refused_;  // deliveries without a runner, and why
  std::string name_, origin_, problem_;
  bool connected_ = false, introduced_ = false;
  Time synced_at_{}, reported_at_{};
  PollInterval interval_;
  std::optional<Time> deadline_;
  std::atomic<bool> tried_{false}, reached_{false}, finished_{false};
  std::vector<std::future<void>> retired_;
  std::stop_source stop_;
  std::jthread thread_;
};

}  // namespace conveyor
