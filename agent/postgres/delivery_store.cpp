#include "postgres/delivery_store.hpp"

#include "postgres/arrays.hpp"
#include "run/json.hpp"

namespace conveyor {

namespace {

using std::chrono::milliseconds;

const Statement window_keys_call{"window_keys", "SELECT conveyor.window_keys($1)"};
const Statement fetch_keys_call{"fetch_keys", "SELECT conveyor.fetch_keys($1, $2::text[], $3::pg_snapshot)"};
const Statement fetch_range_call{"fetch_range",
                                 "SELECT conveyor.fetch_range($1, $2::text[], $3::text[], $4::pg_snapshot)"};
const Statement range_keys_call{"range_keys",
                                "SELECT conveyor.range_keys($1, $2::text[], $3::text[], $4::pg_snapshot)"};
const Statement absent_keys_call{"absent_keys", "SELECT conveyor.absent_keys($1, $2::text[], $3::pg_snapshot)"};
const Statement fence_call{"fence", "SELECT conveyor.fence($1, $2::bigint, $3::bigint, $4::text[])"};
const Statement advance_call{"advance",
                             "SELECT conveyor.advance($1, $2::bigint, $3::pg_snapshot, $4::bigint, $5::jsonb, "
                             "$6::jsonb, $7::text[])"};
const Statement range_claim_call{"range_claim", "SELECT conveyor.range_claim($1, $2::bigint, $3::bigint)"};
const Statement range_finish_call{"range_finish",
                                  "SELECT conveyor.range_finish($1, $2::bigint, $3::bigint, $4::int, $5::bigint, "
                                  "$6::bigint, $7::jsonb, $8::jsonb, $9::text[])"};
const Statement sweep_finish_call{"sweep_finish", "SELECT conveyor.sweep_finish($1, $2::bigint, $3::bigint)"};
const Statement request_keys_call{"request_keys",
                                  "SELECT number, key FROM conveyor.request_keys($1, $2::bigint, $3::bigint, "
                                  "$4::bigint, $5::int)"};
const Statement request_keys_done_call{"request_keys_done",
                                       "SELECT conveyor.request_keys_done($1, $2::bigint, $3::bigint, $4::bigint, "
                                       "$5::bigint, $6::jsonb, $7::jsonb, $8::text[])"};
const Statement orphan_keys_call{"orphan_keys", "SELECT conveyor.orphan_keys($1, $2::bigint, $3::int)"};
const Statement orphans_settled_call{"orphans_settled", "SELECT conveyor.orphans_settled($1, $2::bigint, $3::text[])"};
const Statement renew_lease_call{"renew_lease", "SELECT conveyor.renew_lease($1, $2::bigint)"};
const Statement mark_stale_call{"mark_stale", "SELECT conveyor.mark_stale($1, $2::bigint, $3)"};
const Statement hold_call{"hold", "SELECT conveyor.hold($1, $2::bigint, $3)"};
const Statement store_index_call{"store_index", "SELECT conveyor.store_index($1, $2::bigint, $3::jsonb)"};
const Statement rebuild_next_call{"rebuild_next", "SELECT conveyor.rebuild_next($1, $2::bigint)"};
const Statement rebuild_turned_call{"rebuild_turned", "SELECT conveyor.rebuild_turned($1, $2::bigint)"};

std::optional<std::string> snapshot(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional<std::string>(text);
}

std::optional<std::string> key(const Key& key) {
  return key ? std::optional<std::string>(text_array(*key)) : std::nullopt;
}

Key parse_key(const json_t* value) {
  if (!json_is_array(value)) return std::nullopt;
  std::vector<std::string> columns;
  std::size_t i;
  const json_t* column;
  json_array_foreach(value, i, column) columns.push_back(text_of(column));
  return columns;
}

// settled_below, counts, dead, revived: the tail of every checkpoint's parameters.
void append(Parameters& parameters, const Checkpoint& checkpoint) {
  const Counts& c = checkpoint.counts;
  const Json counts(json_pack("{s:I,s:I,s:I}", "sent", json_int_t{c.sent}, "deleted", json_int_t{c.deleted},
                              "superseded", json_int_t{c.superseded}));
  const Json dead(json_array());
  for (const DeadLetter& letter : checkpoint.dead)
    json_array_append_new(dead.get(), json_pack("{s:o,s:o,s:o,s:i}", "key", storable_text(letter.key).release(), "type",
                                                storable_text(letter.type).release(), "reason",
                                                storable_text(letter.reason).release(), "attempts", letter.attempts));
  parameters.push_back(std::to_string(checkpoint.settled_below));
  parameters.push_back(to_text(counts.get()));
  parameters.push_back(to_text(dead.get()));
  parameters.push_back(text_array(checkpoint.revived));
}

class SessionAnswer : public Answer {
 public:
  explicit SessionAnswer(Pool::Session session) : session_(std::move(session)) {}
  ~SessionAnswer() override {
    // Given up on the way: the server must not go on working for nobody.
    if (!over_ && (*session_).usable()) session_->cancel();
  }
  bool next(std::string_view& frame) override {
    try {
      over_ = !session_->next(frame);
    } catch (...) {
      over_ = true;
      throw;
    }
    return !over_;
  }

 private:
  Pool::Session session_;
  bool over_ = false;
};

}  // namespace

PostgresStore::PostgresStore(Pool& pool, std::string delivery, std::int64_t lease, std::string target,
                             std::stop_token stop)
    : pool_(pool),
      delivery_(std::move(delivery)),
      lease_(std::to_string(lease)),
      target_(std::move(target)),
      stop_(std::move(stop)) {}

Rows PostgresStore::call(const Statement& statement, Parameters parameters) {
  auto session = pool_.brief(stop_);
  return session->query(statement, parameters);
}

std::unique_ptr<Answer> PostgresStore::documents(const Statement& statement, const Parameters& parameters) {
  auto session = pool_.documents(target_, stop_);
  session->start_stream(statement, parameters, fetch_timeout_);
  return std::make_unique<SessionAnswer>(std::move(session));
}

std::unique_ptr<Answer> PostgresStore::keys(const Statement& statement, const Parameters& parameters,
                                            milliseconds timeout) {
  auto session = pool_.keys(target_, stop_);
  session->start_stream(statement, parameters, timeout);
  return std::make_unique<SessionAnswer>(std::move(session));
}

// However long the backlog takes: a window cannot be made smaller.
std::unique_ptr<Answer> PostgresStore::window_keys() { return keys(window_keys_call, {delivery_}, milliseconds(0)); }

std::unique_ptr<Answer> PostgresStore::fetch_keys(const std::vector<std::string>& asked, const std::string& at_least) {
  return documents(fetch_keys_call, {delivery_, text_array(asked), snapshot(at_least)});
}

std::unique_ptr<Answer> PostgresStore::fetch_range(const Range& range) {
  return documents(fetch_range_call, {delivery_, key(range.first), key(range.last), snapshot(range.at_least)});
}

// Read while their documents are delivered, which takes as long as the target takes.
std::unique_ptr<Answer> PostgresStore::range_keys(const Range& range) {
  return keys(range_keys_call, {delivery_, key(range.first), key(range.last), snapshot(range.at_least)},
              milliseconds(0));
}

std::unique_ptr<Answer> PostgresStore::absent_keys(const std::vector<std::string>& asked, const std::string& at_least) {
  return keys(absent_keys_call, {delivery_, text_array(asked), snapshot(at_least)}, fetch_timeout_);
}

void PostgresStore::fence(std::uint64_t version, const std::vector<std::string>& delete_keys) {
  call(fence_call, {delivery_, lease_, std::to_string(version), text_array(delete_keys)});
}

void PostgresStore::advance(const std::string& until, const Checkpoint& checkpoint) {
  Parameters parameters{delivery_, lease_, snapshot(until)};
  append(parameters, checkpoint);
  call(advance_call, std::move(parameters));
}

std::optional<Range> PostgresStore::range_claim(std::int64_t request) {
  const auto text = call(range_claim_call, {delivery_, lease_, std::to_string(request)}).get(0);
  if (!text) return std::nullopt;
  const Json claim = parse_json(*text);
  return Range{static_cast<int>(integer_member(claim.get(), "range")), parse_key(json_object_get(claim.get(), "first")),
               parse_key(json_object_get(claim.get(), "last")), string_member(claim.get(), "at_least")};
}

std::string PostgresStore::range_finish(std::int64_t request, int range, std::int64_t keys,
                                        const Checkpoint& checkpoint) {
  Parameters parameters{delivery_, lease_, std::to_string(request), std::to_string(range), std::to_string(keys)};
  append(parameters, checkpoint);
  return call(range_finish_call, std::move(parameters)).get(0).value_or("");
}

void PostgresStore::sweep_finish(std::int64_t request) {
  call(sweep_finish_call, {delivery_, lease_, std::to_string(request)});
}

RequestedKeys PostgresStore::request_keys(std::int64_t request, std::int64_t after, int keys) {
  const Rows rows = call(request_keys_call,
                         {delivery_, lease_, std::to_string(request), std::to_string(after), std::to_string(keys)});
  RequestedKeys page;
  for (int row = 0; row < rows.size(); ++row) {
    page.upto = std::stoll(rows.get(row, 0).value());
    page.keys.push_back(rows.get(row, 1).value());
  }
  return page;
}

void PostgresStore::request_keys_done(std::int64_t request, std::int64_t upto, const Checkpoint& checkpoint) {
  Parameters parameters{delivery_, lease_, std::to_string(request), std::to_string(upto)};
  append(parameters, checkpoint);
  call(request_keys_done_call, std::move(parameters));
}

std::vector<std::string> PostgresStore::orphan_keys(int keys) {
  const Rows rows = call(orphan_keys_call, {delivery_, lease_, std::to_string(keys)});
  std::vector<std::string> orphans;
  for (int row = 0; row < rows.size(); ++row) orphans.push_back(rows.get(row).value());
  return orphans;
}

void PostgresStore::orphans_settled(const std::vector<std::string>& keys) {
  call(orphans_settled_call, {delivery_, lease_, text_array(keys)});
}

void PostgresStore::renew_lease() { call(renew_lease_call, {delivery_, lease_}); }

void PostgresStore::mark_stale(const std::string& reason) { call(mark_stale_call, {delivery_, lease_, reason}); }

void PostgresStore::hold(const std::string& reason) { call(hold_call, {delivery_, lease_, reason}); }

void PostgresStore::store_index(const std::string& index) { call(store_index_call, {delivery_, lease_, index}); }

std::optional<Turning> PostgresStore::rebuild_next() {
  const auto text = call(rebuild_next_call, {delivery_, lease_}).get(0);
  if (!text) return std::nullopt;
  const Json turning = parse_json(*text);
  return Turning{string_member(turning.get(), "to"), string_member(turning.get(), "from")};
}

void PostgresStore::rebuild_turned() { call(rebuild_turned_call, {delivery_, lease_}); }

}  // namespace conveyor
