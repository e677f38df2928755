// A place to send documents to. One object per target and process: its budget of requests in flight is shared by every
// delivery that sends there.
//
// Threads: append_* are pure and may be called from anywhere; send() returns at once and calls `done` exactly once, on
// the target's own thread (which must not be blocked); the other calls block the caller and may be made from any
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace conveyor {

// What becomes of one document (or of a whole request) after an answer; decide/outcome.cpp has the one table.
enum class Outcome {
  done,         // accepted
  superseded,   // the target has a newer version: success
  retry,        // may succeed later: send again after a back-off
  shrink,       // the request was too large: send in smaller ones
  slow_down,    // the target is overloaded: fewer requests, later
  hold,         // nothing of this delivery can succeed until a person acts
  dead_letter,  // this document can never succeed
};

struct ItemResult {
  Outcome outcome;
  std::string type;    // the target's error type, or empty
  std::string reason;  // its words, or empty
};

// How a request ended. `answered` is false when it may still be applied later (time-out, connection lost after
// sending): it then counts as open (docs/internals.md, section 5). `items` is parallel to Body::items, or empty when
// `whole` speaks for all.
struct SendResult {
  bool answered = false;
  Outcome whole = Outcome::done;
  std::string type;
  std::string reason;
  std::vector<ItemResult> items;
  double seconds = 0;
};

// Documents on their way, in the order of `items`: the bytes for the wire, and where each document lies in them.
struct Body {
  struct Item {
    std::uint64_t version;
    std::size_t wire_at,
        wire_size;  // this item's bytes in `wire`; none: no target takes such a key, send() says dead_letter
    std::size_t key_at, key_size;  // its id in `keys`
    bool remove;
  };
  std::string wire;
  std::string keys;
  std::vector<Item> items;

  std::string_view key(std::size_t i) const {
    return std::string_view(keys).substr(items[i].key_at, items[i].key_size);
  }
  bool empty() const { return items.empty(); }
};

// A column of the feed's view, as agent_sync() reports it.
struct Column {
  std::string name;
  std::string
      type;  // base type's name in pg_type: int8, timestamptz, jsonb, text, …; "enum", "composite" for those kinds
  bool array = false;
};

// Where a delivery's documents go. For Elasticsearch: the alias and the concrete index behind it.
struct Destination {
  std::string delivery;
  std::string name;     // what the user named: the alias, or the directory's sub-folder
  std::string index;    // the concrete index; empty until prepare()
  std::string options;  // the delivery's options, JSON text
  std::vector<Column> columns;
  std::string origin;  // identifies the database and delivery: kept in the index's _meta to know it again

  // Of a delivery that is rebuilt, which has two indices.
  std::string known_as = {};  // the delivery that both belong to; empty: `delivery`
  std::string planned = {};   // the index to make; empty: the first one
  std::string other = {};     // the other one, which may have the name at present
  bool named = true;          // whether the name is to lead to this index, where nothing has it
};

// The state that must survive the agent (store_index()): JSON text {"name", "filling", "restore"}.
using IndexState = std::string;

// An expected failure of a blocking call.
struct Failure {
  Outcome outcome;  // retry, slow_down or hold
  std::string reason;
};

template <typename T>
struct Result {
  std::optional<T> value;
  Failure failure{};
  explicit operator bool() const { return value.has_value(); }
};

struct IdPage {
  std::vector<std::string> ids;
  std::string position;  // give it back to continue; empty: this was the last page
};

// A document as a search gives it back. `source` is valid while it is being looked at.
struct StoredDocument {
  std::string id;
  std::int64_t version = 0, sequence = 0;  // the target's; zero where they were not asked for
  std::string routing;                     // not empty: stored where nothing of ours looks for it
  std::string_view source;                 // the bytes that were sent; none: the target does not keep them
};

// Which documents to read back.
struct ReadBack {
  enum class Kind {
    ids,      // these
    range,    // whose field is above `first` and up to `last`
    without,  // that do not have the field, so that no range has them
  };
  Kind kind = Kind::ids;
  std::vector<std::string> ids;
  std::string field;
  std::optional<std::string> first, last;  // numbers or strings as text; nothing: unbounded
  std::size_t expected = 1000;             // about how many there are: the size of a page
  bool versions = false;
};

class Target {
 public:
  using Done = std::function<void(SendResult)>;

  virtual ~Target() = default;

  virtual void append_document(Body& body, std::string_view key, std::uint64_t version,
                               std::string_view document) const = 0;
  virtual void append_delete(Body& body, std::string_view key, std::uint64_t version) const = 0;

  // Never ends in Outcome::shrink: the target itself sends what is too large again in halves.
  virtual void send(const Destination& destination, std::shared_ptr<const Body> body, Done done) = 0;

  // Makes sure that the destination exists and is ours; creates it when it is not there. Returns the state to store.
  // `will_fill`: a request is about to send every document and has no checkpoint yet, so that a destination that is
  // missing may be made again; else a missing one of which `stored` knows is a Failure{hold}.
  virtual Result<IndexState> prepare(Destination& destination, const IndexState& stored, bool will_fill) = 0;
  // After a fill: restores what prepare() set aside for speed. Idempotent; also called after a crash in between.
  virtual Result<IndexState> finish_fill(const Destination& destination, const IndexState& stored) = 0;
  // Ids present in the destination, page by page; nullopt-like empty page when the target cannot list them.
  virtual bool can_list_ids() const = 0;
  virtual Result<IdPage> list_ids(const Destination& destination, const std::string& position) = 0;
  // Reading documents back, where a target can. field_type() is the type that a field is indexed as, empty where it is
  // not; a Failure where the documents are not kept as they were sent. read() finds what was acknowledged before the
  // latest refresh(), and gives it to `take` as it comes, some of it twice perhaps.
  virtual Result<std::string> field_type(const Destination&, const std::string&) {
    return {std::nullopt, no_reading()};
  }
  virtual Result<bool> refresh(const Destination&) { return {std::nullopt, no_reading()}; }
  virtual Result<bool> read(const Destination&, const ReadBack&, const std::function<void(const StoredDocument&)>&) {
    return {std::nullopt, no_reading()};
  }
  // With Destination::other the name leads there before the index goes.
  virtual Result<bool> remove_destination(const Destination& destination, const IndexState& stored) = 0;

  // What a rebuild needs (docs/internals.md, section 5); a kind of target without it refuses.
  // Which of these ids the destination has; parallel to `ids`, whatever a refresh has made visible.
  virtual Result<std::vector<bool>> have_ids(const Destination& destination, const std::vector<std::string>& ids);
  // Why readers should not be led to the destination's index yet, instead of to `other`; empty: they may be. What was
  // acknowledged before this call they find.
  virtual Result<std::string> unready(const Destination& destination, const std::string& other);
  // Leads the name from one index to the other, at once; false: it leads there already.
  virtual Result<bool> lead_name(const Destination& destination, const std::string& to, const std::string& from);

  // Options changed (alter_target): takes effect for the next request.
  virtual void reconfigure(const std::string& options) = 0;
  // Why it is slow or down now, for people, without the target's name; empty when all is well.
  virtual std::string condition() const = 0;

 private:
  static Failure no_reading() { return {Outcome::hold, "nothing can be read back from this kind of target"}; }
};

// kind: "elasticsearch" or "ndjson"; options: JSON text as stored; secret: names CONVEYOR_<SECRET>_PASSWORD and
// _API_KEY.
Result<std::unique_ptr<Target>> make_target(const std::string& kind, const std::string& options,
                                            const std::string& secret);

}  // namespace conveyor
