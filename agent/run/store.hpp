// The database as one delivery sees it, under one lease. PostgresStore is the real one; unit tests have their own.
//
// Every call may throw DatabaseError and Stopped, and may be made from several threads at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace conveyor {

using Key = std::optional<std::vector<std::string>>;  // the root's key columns as text; nothing: unbounded

// Frames of one answer, as they come (docs/internals.md, section 4).
class Answer {
 public:
  virtual ~Answer() = default;
  virtual bool next(std::string_view& frame) = 0;
};

struct Counts {
  std::int64_t sent = 0, deleted = 0, superseded = 0;
};

struct DeadLetter {
  std::string key, type, reason;
  int attempts = 1;
};

// What a piece of work leaves behind in the transaction that ends it.
struct Checkpoint {
  std::uint64_t settled_below = 0;
  Counts counts;
  std::vector<DeadLetter> dead;
  std::vector<std::string> revived;  // delivered although they may be among the dead letters
};

struct Range {
  int number = 0;
  Key first, last;
  std::string at_least;
};

struct RequestedKeys {
  std::vector<std::string> keys;
  std::int64_t upto = 0;  // the number of the last of them
};

// A step of a rebuild: the destination's name is to go over from one index to the other.
struct Turning {
  std::string to, from;
};

class Store {
 public:
  virtual ~Store() = default;

  virtual std::unique_ptr<Answer> window_keys() = 0;
  virtual std::unique_ptr<Answer> fetch_keys(const std::vector<std::string>& keys, const std::string& at_least) = 0;
  virtual std::unique_ptr<Answer> fetch_range(const Range& range) = 0;
  virtual std::unique_ptr<Answer> range_keys(const Range& range) = 0;
  virtual std::unique_ptr<Answer> absent_keys(const std::vector<std::string>& keys, const std::string& at_least) = 0;

  virtual void fence(std::uint64_t version, const std::vector<std::string>& delete_keys) = 0;
  // `until` empty: a checkpoint, the cursor stays.
  virtual void advance(const std::string& until, const Checkpoint& checkpoint) = 0;
  virtual std::optional<Range> range_claim(std::int64_t request) = 0;
  virtual std::string range_finish(std::int64_t request, int range, std::int64_t keys,
                                   const Checkpoint& checkpoint) = 0;
  virtual void sweep_finish(std::int64_t request) = 0;
  virtual RequestedKeys request_keys(std::int64_t request, std::int64_t after, int keys) = 0;
  virtual void request_keys_done(std::int64_t request, std::int64_t upto, const Checkpoint& checkpoint) = 0;
  virtual std::vector<std::string> orphan_keys(int keys) = 0;
  virtual void orphans_settled(const std::vector<std::string>& keys) = 0;
  // Ends this lease and begins another, which agent_sync() tells.
  virtual void renew_lease() = 0;
  virtual void mark_stale(const std::string& reason) = 0;
  virtual void hold(const std::string& reason) = 0;
  virtual void store_index(const std::string& index) = 0;
  // What the rebuild waits for its agent to do; nothing: it does not.
  virtual std::optional<Turning> rebuild_next() = 0;
  virtual void rebuild_turned() = 0;
  virtual void set_fetch_timeout(std::chrono::milliseconds timeout) = 0;
};

}  // namespace conveyor
