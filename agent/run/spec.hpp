// What agent_sync() says of a delivery that this agent holds.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "run/json.hpp"
#include "target/target.hpp"

namespace conveyor {

struct Request {
  std::int64_t id = 0;
  std::string kind;   // backfill, recheck, resync_all, compare, keys
  std::string phase;  // fill, sweep
  std::string state;  // open, paused, …
  std::string at_least;
  bool untouched = false;  // sends every document, and has no checkpoint yet

  bool open() const { return state == "open"; }
  bool operator==(const Request&) const = default;
};

// The rebuild that a delivery is in, as one of its two indices sees it.
struct Rebuild {
  std::string state;    // asked, filling, verifying, …; empty: there is none
  bool beside = false;  // this is the second index's delivery, whose agent takes the rebuild forward
  std::string index;    // this one's index, also before it is made
  std::string other;    // the other one's
  bool named = true;    // the destination's name may be led to this index

  bool resting() const { return state == "kept" || state == "rolled_back"; }
};

struct DeliverySpec {
  std::string delivery;
  std::int64_t lease = 0;
  std::string feed, target, kind, destination;
  std::string state;                    // backfilling, live, paused, waiting, stale
  std::string options, target_options;  // JSON text
  std::string secret;
  std::string index;  // JSON text; empty: not made yet
  std::int64_t dead_letters = 0;
  std::vector<Column> columns;
  std::vector<Request> requests;
  std::string cursor;
  std::int64_t epoch = 0;
  bool orphans = false;
  std::string known_as;  // the delivery that the destination belongs to: another one for a second index
  Rebuild rebuild;

  // Options that the agent itself acts on; the database has checked their limits.
  std::size_t batch_bytes = 5u << 20;
  int in_flight = 4;
  int job_lists = 2;
  double rate = 0;  // documents/s; 0: as fast as it goes
  std::chrono::milliseconds fetch_timeout{60'000}, retry_delay{100}, max_retry_delay{60'000};
  int max_attempts = 10;
  // A setting of the database: how long a request that got no answer may still be applied.
  std::chrono::milliseconds orphan_time{std::chrono::minutes(15)};

  bool may_work() const { return state != "paused" && state != "waiting"; }
  // A request that sends every document is not through yet.
  bool filling() const;
  // … has not even begun: a destination that is gone may be made anew.
  bool about_to_fill() const;
};

// Throws std::runtime_error when something that must be there is not.
DeliverySpec parse_delivery(const json_t* object);

// The version that a document read in this snapshot carries (docs/internals.md, snapshot_version()).
std::uint64_t version_of(const std::string& snapshot, std::int64_t epoch);

// PostgreSQL's snapshot text is xmin:xmax:xip,…
std::uint64_t snapshot_xmax(const std::string& snapshot);

}  // namespace conveyor
