// A database and a target of the tests' own: the view is a map, what was called and sent is a list of lines in order.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "postgres/error.hpp"
#include "run/lane.hpp"

namespace conveyor::fakes {

using namespace std::chrono_literals;

inline void put_number(std::string& to, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to += static_cast<char>(value >> (8 * i));
}

// Frames as the extension writes them.
class Frame {
 public:
  Frame& head(std::uint64_t version, const std::string& snapshot) {
    text_ += 'h';
    put_number(text_, version, 8);
    return bytes(snapshot);
  }
  Frame& document(const std::string& key, const std::string& document) {
    return record('d').bytes(key).bytes(document);
  }
  Frame& missing(const std::string& key) { return record('m').bytes(key); }
  Frame& key(const std::string& key) { return record('k').bytes(key); }
  Frame& rejected(const std::string& key, const std::string& type) {
    return record('x').bytes(key).bytes(type).bytes("no");
  }
  Frame& signal(char kind, const std::string& reason) {
    record('s').text_ += kind;
    return bytes(reason);
  }
  std::string end() {
    text_ += 'e';
    put_number(text_, records_, 8);
    return text_;
  }
  std::string cut() const { return text_; }

 private:
  Frame& record(char kind) {
    text_ += kind;
    ++records_;
    return *this;
  }
  Frame& bytes(const std::string& value) {
    put_number(text_, value.size(), 4);
    text_ += value;
    return *this;
  }
  std::string text_;
  std::uint64_t records_ = 0;
};

class OneFrame : public Answer {
 public:
  OneFrame(std::string frame, std::optional<DatabaseError> error = {})
      : frame_(std::move(frame)), error_(std::move(error)) {}
  bool next(std::string_view& frame) override {
    if (error_ && (frame_.empty() || given_)) throw *error_;
    if (given_) return false;
    given_ = true;
    frame = frame_;
    return true;
  }

 private:
  std::string frame_;
  std::optional<DatabaseError> error_;
  bool given_ = false;
};

// What happened, in order, over database and target.
class Events {
 public:
  void add(const std::string& line) {
    std::lock_guard lock(mutex_);
    lines_.push_back(line);
  }
  std::vector<std::string> all() const {
    std::lock_guard lock(mutex_);
    return lines_;
  }
  std::ptrdiff_t count(const std::string& line) const {
    const auto lines = all();
    return std::count(lines.begin(), lines.end(), line);
  }
  std::ptrdiff_t position(const std::string& line) const {
    const auto lines = all();
    return std::find(lines.begin(), lines.end(), line) - lines.begin();
  }
  bool has(const std::string& line) const { return count(line) > 0; }
  // Waits for another thread to do it.
  bool wait_for(const std::string& line, int times = 1) const {
    for (int i = 0; i < 1000 && count(line) < times; ++i) std::this_thread::sleep_for(5ms);
    return count(line) >= times;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

class FakeStore : public Store {
 public:
  explicit FakeStore(Events& recorded) : events(recorded) {}

  Events& events;
  std::mutex mutex;
  std::map<std::string, std::string> view;      // key → document
  std::set<std::string> poisoned;               // the view fails for these keys
  std::vector<std::string> windows;             // frames of coming windows; then empty ones
  bool writers_never_rest = false;              // instead of these, a window with a key `a` every time
  std::vector<Range> ranges;                    // to be claimed
  std::map<std::string, std::string> failures;  // call → SQLSTATE, once
  std::optional<DatabaseError> end_with;        // how the next answer of fetch_keys() ends, once
  std::uint64_t version = 100;
  std::atomic<std::chrono::milliseconds> fetch_timeout{std::chrono::milliseconds(0)};
  Checkpoint last;

  std::unique_ptr<Answer> window_keys() override {
    fail("window_keys");
    std::lock_guard lock(mutex);
    std::string frame = Frame().head(version, "100:100:").end();
    if (writers_never_rest) {
      const std::string now = std::to_string(++version);
      frame = Frame().head(version, now + ":" + now + ":").key("a").end();
    } else if (!windows.empty()) {
      frame = windows.front();
      windows.erase(windows.begin());
    }
    return std::make_unique<OneFrame>(frame);
  }
  std::unique_ptr<Answer> fetch_keys(const std::vector<std::string>& keys, const std::string& at_least) override {
    fail("fetch_keys");
    events.add("fetch_keys " + std::to_string(keys.size()) + " at " + at_least);
    wait_for_others();
    std::lock_guard lock(mutex);
    Frame frame;
    frame.head(version, "s");
    for (const std::string& key : keys) {
      if (poisoned.contains(key)) return std::make_unique<OneFrame>("", DatabaseError("22012", "division by zero"));
      if (const auto found = view.find(key); found != view.end())
        frame.document(key, found->second);
      else
        frame.missing(key);
    }
    return std::make_unique<OneFrame>(frame.end(), std::exchange(end_with, std::nullopt));
  }
  std::unique_ptr<Answer> fetch_range(const Range& range) override {
    fail("fetch_range");
    events.add("fetch_range at " + range.at_least);
    count_reading();
    std::lock_guard lock(mutex);
    if (!poisoned.empty()) return std::make_unique<OneFrame>("", DatabaseError("22012", "division by zero"));
    Frame frame;
    frame.head(version, "s");
    for (const auto& [key, document] : view) frame.document(key, document);
    return std::make_unique<OneFrame>(frame.end());
  }
  std::unique_ptr<Answer> range_keys(const Range&) override {
    Frame frame;
    frame.head(version, "s");
    for (const auto& [key, document] : view) frame.key(key);
    return std::make_unique<OneFrame>(frame.end());
  }
  std::unique_ptr<Answer> absent_keys(const std::vector<std::string>& keys, const std::string&) override {
    Frame frame;
    frame.head(version, "s");
    for (const std::string& key : keys)
      if (!view.contains(key)) frame.key(key);
    return std::make_unique<OneFrame>(frame.end());
  }
  void fence(std::uint64_t at, const std::vector<std::string>& deletes) override {
    fail("fence");
    std::string line = "fence " + std::to_string(at);
    for (const std::string& key : deletes) line += " " + key;
    events.add(line);
  }
  void advance(const std::string& until, const Checkpoint& checkpoint) override {
    fail("advance");
    record("advance " + until, checkpoint);
  }
  std::optional<Range> range_claim(std::int64_t) override {
    fail("range_claim");
    std::lock_guard lock(mutex);
    if (ranges.empty()) return std::nullopt;
    const Range range = ranges.front();
    ranges.erase(ranges.begin());
    return range;
  }
  std::string range_finish(std::int64_t, int range, std::int64_t keys, const Checkpoint& checkpoint) override {
    fail("range_finish");
    record("range_finish " + std::to_string(range) + " keys " + std::to_string(keys), checkpoint);
    return "finished";
  }
  void sweep_finish(std::int64_t) override { events.add("sweep_finish"); }
  RequestedKeys request_keys(std::int64_t, std::int64_t after, int keys) override {
    asked_keys = keys;
    return after == 0 ? RequestedKeys{{"a", "b"}, 2} : RequestedKeys{};
  }
  void request_keys_done(std::int64_t, std::int64_t upto, const Checkpoint& checkpoint) override {
    record("request_keys_done " + std::to_string(upto), checkpoint);
  }
  std::vector<std::string> orphan_keys(int) override { return std::exchange(orphans, {}); }
  void orphans_settled(const std::vector<std::string>& keys) override {
    events.add("orphans_settled " + std::to_string(keys.size()));
  }
  void renew_lease() override { events.add("renew_lease"); }
  void set_fetch_timeout(std::chrono::milliseconds timeout) override { fetch_timeout = timeout; }
  void mark_stale(const std::string& reason) override { events.add("mark_stale " + reason); }
  void hold(const std::string& reason) override { events.add("hold " + reason); }
  void store_index(const std::string& index) override { events.add("store_index " + index); }
  std::optional<Turning> rebuild_next() override {
    fail("rebuild_next");
    std::lock_guard lock(mutex);
    return std::exchange(turning, std::nullopt);
  }
  void rebuild_turned() override {
    fail("rebuild_turned");
    events.add("rebuild_turned");
  }
  std::optional<Turning> turning;  // to be done once

  std::vector<std::string> orphans;
  int asked_keys = 0;
  std::atomic<bool> met{false};
  std::chrono::milliseconds range_takes{0};  // to be read
  std::atomic<int> most_ranges_at_once{0};

  // Each fetch waits (not for ever) until so many are under way.
  void meet(int number) { expected_ = number; }
  void fail_once(const std::string& call, const std::string& sqlstate) {
    std::lock_guard lock(mutex);
    failures[call] = sqlstate;
  }
  Checkpoint checkpoint() {
    std::lock_guard lock(mutex);
    return last;
  }

 private:
  void record(const std::string& line, const Checkpoint& checkpoint) {
    {
      std::lock_guard lock(mutex);
      last = checkpoint;
    }
    events.add(line);
  }
  void wait_for_others() {
    if (expected_ == 0) return;
    ++present_;
    for (int i = 0; i < 400 && !met; ++i) {
      if (present_ >= expected_) met = true;
      std::this_thread::sleep_for(5ms);
    }
    --present_;
  }
  void count_reading() {
    if (const int now = ++reading_; now > most_ranges_at_once) most_ranges_at_once = now;
    std::this_thread::sleep_for(range_takes);
    --reading_;
  }
  int expected_ = 0;
  std::atomic<int> present_{0}, reading_{0};
  void fail(const std::string& call) {
    std::lock_guard lock(mutex);
    const auto found = failures.find(call);
    if (found == failures.end()) return;
    const DatabaseError error(found->second, "as the test wants it");
    failures.erase(found);
    throw error;
  }
};

// Answers at once, on the sender's thread, unless `silent`.
class FakeTarget : public Target {
 public:
  explicit FakeTarget(Events& recorded) : events(recorded) {}

  Events& events;
  using Decide = std::function<SendResult(const Body&)>;
  Decide decide;                  // default: everything is done
  std::vector<std::string> ids;   // what list_ids() finds
  std::set<std::string> present;  // what have_ids() finds; what is sent comes to it, unless `drops`
  bool drops = false;
  std::string not_ready;                   // why readers cannot be led here
  std::optional<Failure> lead_failure;     // once
  std::optional<Failure> prepare_failure;  // once
  bool keep_state = false;                 // prepare() returns the state as it was stored
  bool silent = false;                     // keeps the requests unanswered in `kept`
  std::vector<Done> kept;
  std::chrono::milliseconds delay{0};  // answers so much later, on another thread
  std::list<std::jthread> later;

  static SendResult all(const Body& body, Outcome outcome) {
    SendResult result;
    result.answered = true;
    result.items.assign(body.items.size(), {outcome, outcome == Outcome::done ? "" : "type", "reason"});
    return result;
  }

  void append_document(Body& body, std::string_view key, std::uint64_t version,
                       std::string_view document) const override {
    append(body, key, version, document, false);
  }
  void append_delete(Body& body, std::string_view key, std::uint64_t version) const override {
    append(body, key, version, "", true);
  }
  void send(const Destination&, std::shared_ptr<const Body> body, Done done) override {
    std::string line = "send";
    for (std::size_t i = 0; i < body->items.size(); ++i)
      line += std::string(" ") + (body->items[i].remove ? "-" : "") + std::string(body->key(i));
    events.add(line);
    for (std::size_t i = 0; i < body->items.size() && !drops; ++i)
      if (!body->items[i].remove) present.emplace(body->key(i));
    if (silent)
      kept.push_back(std::move(done));
    else if (delay > 0ms)
      later.emplace_back([this, body, done = std::move(done)] {
        std::this_thread::sleep_for(delay);
        done(all(*body, Outcome::done));
      });
    else
      done(decide ? decide(*body) : all(*body, Outcome::done));
  }
  Result<IndexState> prepare(Destination& destination, const IndexState& stored, bool will_fill) override {
    if (const auto failure = std::exchange(prepare_failure, std::nullopt)) return {std::nullopt, *failure};
    destination.index = "index";
    events.add(will_fill ? "prepare to fill" : "prepare");
    if (keep_state) return {stored, {}};
    return {will_fill ? R"({"name":"index","filling":true})" : R"({"name":"index","filling":false})", {}};
  }
  Result<IndexState> finish_fill(const Destination&, const IndexState&) override {
    events.add("finish_fill");
    return {R"({"name":"index","filling":false})", {}};
  }
  bool can_list_ids() const override { return true; }
  Result<IdPage> list_ids(const Destination&, const std::string&) override { return {IdPage{ids, ""}, {}}; }
  Result<bool> remove_destination(const Destination&, const IndexState&) override { return {true, {}}; }
  Result<std::vector<bool>> have_ids(const Destination&, const std::vector<std::string>& asked) override {
    std::vector<bool> there;
    for (const std::string& id : asked) there.push_back(present.contains(id));
    return {there, {}};
  }
  Result<std::string> unready(const Destination&, const std::string& other) override {
    events.add("unready beside " + other);
    return {not_ready, {}};
  }
  Result<bool> lead_name(const Destination&, const std::string& to, const std::string& from) override {
    if (const auto failure = std::exchange(lead_failure, std::nullopt)) return {std::nullopt, *failure};
    events.add("lead to " + to + " from " + from);
    return {true, {}};
  }
  void reconfigure(const std::string&) override {}
  std::string condition() const override { return {}; }

 private:
  static void append(Body& body, std::string_view key, std::uint64_t version, std::string_view document, bool remove) {
    body.items.push_back({version, body.wire.size(), document.size() + 1, body.keys.size(), key.size(), remove});
    body.wire.append(document).append("\n");
    body.keys.append(key);
  }
};

// All that a piece of work needs.
struct Bench {
  Events events;
  FakeStore store{events};
  FakeTarget target{events};
  ByteBudget budget{1u << 20};
  std::stop_source stop;
  Lane lane{"d", store, target, budget, stop.get_token(), "1:1:", 1};
};

}  // namespace conveyor::fakes
