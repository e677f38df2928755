#include "verify/verification.hpp"

#include <fmt/format.h>

#include "decide/frame.hpp"
#include "postgres/arrays.hpp"
#include "run/json.hpp"
#include "verify/content_hash.hpp"

namespace conveyor {

namespace {

using std::chrono::milliseconds;

const Statement begin_call{"verification_begin", "SELECT conveyor.verification_begin($1, $2::boolean, $3::boolean)"};
const Statement claim_call{"verification_claim", "SELECT conveyor.verification_claim($1::bigint, $2::bigint, $3::int)"};
const Statement note_call{"verification_note",
                          "SELECT conveyor.verification_note($1::bigint, $2::bigint, $3::int, $4::bigint, $5::text[], "
                          "$6::float8)"};
const Statement enter_call{"verification_enter", "SELECT conveyor.verification_enter($1::bigint, $2::bigint, $3)"};
const Statement keys_call{
    "verification_keys",
    "SELECT number, key, coalesce(kind, ''), coalesce(detail, ''), coalesce(version, 0), repaired "
    "FROM conveyor.verification_keys($1::bigint, $2::bigint, $3::boolean, $4::bigint, $5::int)"};
const Statement settle_call{"verification_settle",
                            "SELECT conveyor.verification_settle($1::bigint, $2::bigint, $3::jsonb)"};
const Statement resync_call{"verification_resync",
                            "SELECT conveyor.verification_resync($1::bigint, $2::bigint, $3::text[], $4::bigint)"};
const Statement request_call{"verification_request",
                             "SELECT conveyor.verification_request($1::bigint, $2::bigint, $3::bigint)"};
const Statement finish_call{"verification_finish", "SELECT conveyor.verification_finish($1::bigint, $2::bigint)"};
const Statement delivered_call{"verification_delivered",
                               "SELECT conveyor.verification_delivered($1::bigint, $2::pg_snapshot)"};
const Statement version_call{"present_version", "SELECT conveyor.present_version()"};
const Statement condition_call{"verification_condition", "SELECT conveyor.verification_condition($1::bigint)"};
const Statement contents_call{"range_contents",
                              "SELECT conveyor.range_contents($1, $2::text[], $3::text[], $4::pg_snapshot)"};
const Statement fetch_call{"fetch_keys", "SELECT conveyor.fetch_keys($1, $2::text[], $3::pg_snapshot)"};
const Statement absent_call{"absent_keys", "SELECT conveyor.absent_keys($1, $2::text[], $3::pg_snapshot)"};

// However long a range takes to read: it is the database's owner who decides what a view costs.
constexpr milliseconds no_limit{0};
constexpr auto patience = std::chrono::minutes(10);

Key key_of(const json_t* value) {
  if (!json_is_array(value)) return std::nullopt;
  std::vector<std::string> columns;
  std::size_t i;
  const json_t* column;
  json_array_foreach(value, i, column) columns.push_back(text_of(column));
  return columns;
}

std::optional<std::string> array(const Key& key) {
  return key ? std::optional<std::string>(text_array(*key)) : std::nullopt;
}

std::vector<std::string> texts(const json_t* array) {
  std::vector<std::string> found;
  std::size_t i;
  const json_t* one;
  json_array_foreach(array, i, one) found.push_back(text_of(one));
  return found;
}

}  // namespace

Verification::Verification(const std::string& conninfo, std::stop_token stop)
    : connection_(conninfo, "conveyor verify", std::move(stop)) {}

Parameters Verification::parameters(std::initializer_list<std::optional<std::string>> more) const {
  Parameters all{std::to_string(plan_.id), std::to_string(plan_.runner)};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

template <typename Take>
void Verification::stream(const Statement& statement, const Parameters& parameters, Take take) {
  connection_.start_stream(statement, parameters, no_limit);
  FrameReader frames;
  std::string_view frame;
  while (connection_.next(frame)) {
    frames.open(frame);
    for (Record record; frames.next(record);) take(record);
  }
  if (!frames.complete()) throw std::runtime_error("the database's answer is not whole: " + frames.problem());
}

VerificationPlan Verification::begin(const std::string& delivery, bool anew, bool repair) {
  const Rows rows = connection_.query(begin_call, {delivery, anew ? "true" : "false", repair ? "true" : "false"});
  const Json json = parse_json(rows.get(0).value_or("{}"));
  VerificationPlan plan;
  plan.id = integer_member(json.get(), "verification");
  plan.runner = integer_member(json.get(), "runner");
  plan.resumed = boolean_member(json.get(), "resumed");
  plan.repair = boolean_member(json.get(), "repair");
  plan.phase = string_member(json.get(), "phase");
  plan.at_least = string_member(json.get(), "at_least");
  plan.documents = integer_member(json.get(), "documents");
  plan.documents_total = integer_member(json.get(), "documents_total", -1);
  plan.delivery = delivery;
  plan.kind = string_member(json.get(), "kind");
  plan.target = string_member(json.get(), "target");
  plan.destination = string_member(json.get(), "destination");
  plan.index = string_member(json_object_get(json.get(), "index"), "name");
  plan.target_options = text_member(json.get(), "target_options");
  plan.secret = string_member(json.get(), "secret");
  plan.key = texts(json_object_get(json.get(), "key"));
  plan.key_types = texts(json_object_get(json.get(), "key_types"));
  plan_ = plan;
  return plan;
}

std::optional<Range> Verification::claim(int documents) {
  const auto text = connection_.query(claim_call, parameters({std::to_string(documents)}), patience).get(0);
  if (!text) return std::nullopt;
  const Json json = parse_json(*text);
  return Range{static_cast<int>(integer_member(json.get(), "range")), key_of(json_object_get(json.get(), "first")),
               key_of(json_object_get(json.get(), "last")), plan_.at_least};
}

void Verification::note(std::optional<int> range, std::size_t documents, const std::vector<std::string>& suspects,
                        double seconds) {
  connection_.query(note_call,
                    parameters({range ? std::optional(std::to_string(*range)) : std::nullopt, std::to_string(documents),
                                text_array(suspects), fmt::format("{:.6f}", seconds)}),
                    patience);
}

void Verification::enter(const std::string& phase) {
  connection_.query(enter_call, parameters({phase}));
  plan_.phase = phase;
}

std::vector<NotedKey> Verification::noted(bool settled, std::int64_t after, int keys) {
  const Rows rows = connection_.query(
      keys_call, parameters({settled ? "true" : "false", std::to_string(after), std::to_string(keys)}), patience);
  std::vector<NotedKey> noted;
  for (int row = 0; row < rows.size(); ++row)
    noted.push_back({std::stoll(rows.get(row, 0).value()), rows.get(row, 1).value(), rows.get(row, 2).value(),
                     rows.get(row, 3).value(), std::stoll(rows.get(row, 4).value()), rows.get(row, 5) == "t"});
  return noted;
}

void Verification::settle(const std::vector<Verdict>& verdicts) {
  if (verdicts.empty()) return;
  const Json outcomes(json_array());
  for (const Verdict& verdict : verdicts) {
    const bool equal = verdict.kind.empty();
    json_array_append_new(outcomes.get(),
                          json_pack("{s:o,s:o,s:o,s:o}", "key", json_text(verdict.key).release(), "kind",
                                    equal ? json_null() : json_text(verdict.kind).release(), "version",
                                    verdict.version == 0 ? json_null() : json_integer(verdict.version), "detail",
                                    verdict.detail.empty() ? json_null() : storable_text(verdict.detail).release()));
  }
  connection_.query(settle_call, parameters({to_text(outcomes.get())}), patience);
}

std::int64_t Verification::resync(const std::vector<std::string>& keys, std::int64_t above) {
  return std::stoll(
      connection_.query(resync_call, parameters({text_array(keys), std::to_string(above)}), patience).get(0).value());
}

std::string Verification::request_state(std::int64_t request) {
  return connection_.query(request_call, parameters({std::to_string(request)})).get(0).value_or("");
}

void Verification::finish() { connection_.query(finish_call, parameters({})); }

bool Verification::delivered(const std::string& upto) {
  return connection_.query(delivered_call, {std::to_string(plan_.id), upto}).get(0) == "t";
}

std::int64_t Verification::present_version() { return std::stoll(connection_.query(version_call).get(0).value()); }

std::string Verification::condition() {
  return connection_.query(condition_call, {std::to_string(plan_.id)}).get(0).value_or("");
}

void Verification::contents(const Range& range,
                            const std::function<void(const std::string& key, std::uint64_t content)>& document,
                            const std::function<void(const std::string& key)>& refused) {
  stream(contents_call, {plan_.delivery, array(range.first), array(range.last), range.at_least},
         [&](const Record& record) {
           if (record.kind == 'c') document(std::string(record.key), record.number);
           // Rows without a key are no documents.
           if (record.kind == 'x' && !record.key.empty()) refused(std::string(record.key));
         });
}

std::string Verification::originals(const std::vector<std::string>& keys,
                                    const std::function<void(const std::string& key, Original)>& document) {
  std::string snapshot;
  stream(fetch_call, {plan_.delivery, text_array(keys), plan_.at_least}, [&](const Record& record) {
    if (record.kind == 'h') snapshot = record.text;
    if (record.kind == 'd')
      document(std::string(record.key), {true, content_hash(record.text.data(), record.text.size()), {}});
    if (record.kind == 'x')
      document(std::string(record.key), {true, 0, fmt::format("{}: {}", record.type, record.text)});
  });
  return snapshot;
}

std::vector<std::string> Verification::absent(const std::vector<std::string>& keys) {
  std::vector<std::string> absent;
  if (keys.empty()) return absent;
  stream(absent_call, {plan_.delivery, text_array(keys), plan_.at_least}, [&](const Record& record) {
    if (record.kind == 'k') absent.emplace_back(record.key);
  });
  return absent;
}

}  // namespace conveyor
