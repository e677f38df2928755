#include "decide/outcome.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

namespace conveyor {

namespace {

using enum Outcome;

// What a row speaks of.
enum class Of { item, request, both };

struct Row {
  Of of;
  int from, to;           // statuses, both inclusive
  std::string_view type;  // the server's error type; "*": any; "": none was given
  Outcome outcome;
  Outcome alone;  // the same where the document was alone in its request
};

// The first row that fits decides. Statuses and types are those of OpenSearch 2 and 3 and of Elasticsearch 8 and 9.
// What no row names is tried again: never done, never given up.
constexpr auto table = std::to_array<Row>({
    // Accepted: indexed anew (201), over an older version or deleted (200).
    {Of::item, 200, 201, "", done, done},
    // Deleted what was not there: the server keeps the version as a tombstone, which is all that is needed.
    // (An index operation has no such answer; item_outcome() sees to that.)
    {Of::item, 404, 404, "", done, done},
    // The target already has this version or a newer one.
    {Of::item, 409, 409, "version_conflict_engine_exception", superseded, superseded},

    // The index (or the alias, asked for with require_alias) is gone, closed, or may not be made: a person must act.
    {Of::both, 404, 404, "index_not_found_exception", hold, hold},
    {Of::both, 400, 400, "index_closed_exception", hold, hold},
    {Of::both, 403, 403, "index_closed_exception", hold, hold},
    {Of::both, 400, 400, "invalid_index_name_exception", hold, hold},
    {Of::both, 400, 400, "invalid_alias_name_exception", hold, hold},
    {Of::both, 403, 403, "index_create_block_exception", hold, hold},
    // The index wants a routing value, or the cluster has no room for another shard: true for every document alike.
    {Of::both, 400, 400, "routing_missing_exception", hold, hold},
    {Of::both, 400, 400, "validation_exception", hold, hold},
    // Wrong password or key; right one without the rights.
    {Of::both, 401, 401, "*", hold, hold},
    {Of::both, 407, 407, "*", hold, hold},
    // Write block, read-only index (items) or cluster (request); security_exception.
    {Of::both, 403, 403, "*", hold, hold},
    // Flood stage, read_only_allow_delete: comes as 429 with the type of a block, for deletes too. No back-off cures a
    // full disk.
    {Of::both, 429, 429, "cluster_block_exception", hold, hold},
    // The server does not take this kind of body at all.
    {Of::request, 406, 406, "*", hold, hold},
    {Of::request, 415, 415, "*", hold, hold},

    // The document does not fit the mapping, or is no JSON that the server takes.
    {Of::item, 400, 400, "mapper_parsing_exception", dead_letter, dead_letter},    // OpenSearch
    {Of::item, 400, 400, "document_parsing_exception", dead_letter, dead_letter},  // Elasticsearch
    {Of::item, 400, 400, "strict_dynamic_mapping_exception", dead_letter, dead_letter},
    {Of::item, 400, 400, "illegal_argument_exception", dead_letter, dead_letter},  // field limit, immense term, depth
    {Of::item, 400, 400, "max_bytes_length_exceeded_exception", dead_letter, dead_letter},
    {Of::item, 400, 400, "parsing_exception", dead_letter, dead_letter},
    {Of::item, 400, 400, "x_content_parse_exception", dead_letter, dead_letter},
    {Of::item, 400, 400, "not_x_content_exception", dead_letter, dead_letter},
    // Elasticsearch 9 reads bodies in pieces: one bad action makes innocent neighbours invalid. Only alone is it their
    // own fault.
    {Of::item, 400, 400, "action_request_validation_exception", shrink, dead_letter},
    // Any other refusal of an item: find out alone whose fault it is.
    {Of::item, 400, 400, "*", shrink, dead_letter},

    // Over http.max_content_length: an empty body, often from a proxy as HTML; nothing can be read from it.
    {Of::both, 413, 413, "*", shrink, dead_letter},
    // A 400 without a type is not of a search server (plain HTTP to a TLS port, a proxy): it says nothing about
    // documents.
    {Of::request, 400, 400, "", retry, retry},
    // A bad _id, a bad action line, …: everything is refused for the sake of one. In halves down to that one.
    {Of::request, 400, 400, "*", shrink, dead_letter},

    // Indexing pressure, a full write queue, a circuit breaker; a proxy's rate limit.
    {Of::both, 429, 429, "*", slow_down, slow_down},
    // Elasticsearch before 8 and some services give the write queue's rejection as 503.
    {Of::both, 503, 503, "es_rejected_execution_exception", slow_down, slow_down},
    {Of::both, 503, 503, "rejected_execution_exception", slow_down, slow_down},

    // A shard that is not assigned, a master that is not elected, a node that left, a gateway: later.
    {Of::both, 500, 599, "*", retry, retry},
    // Whatever else.
    {Of::both, 0, 999, "*", retry, retry},
});

Outcome look_up(Of of, int status, std::string_view type, bool sole) {
  for (const Row& row : table) {
    if (row.of != Of::both && row.of != of) continue;
    if (status < row.from || status > row.to) continue;
    if (row.type != "*" && row.type != type) continue;
    return sole ? row.alone : row.outcome;
  }
  return retry;
}

// The number behind the first `name` in a server's words.
std::optional<std::uint64_t> number_after(std::string_view words, std::string_view name) {
  const std::size_t at = words.find(name);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view digits = words.substr(at + name.size());
  std::uint64_t number = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), number).ec != std::errc{}) return std::nullopt;
  return number;
}

}  // namespace

Outcome item_outcome(int status, std::string_view type, bool remove, bool sole) {
  if (status == 404 && type.empty() && !remove) return retry;
  return look_up(Of::item, status, type, sole);
}

Outcome request_outcome(int status, std::string_view type, bool sole) {
  return look_up(Of::request, status, type, sole);
}

bool never_fits(std::string_view reason) {
  const auto operation = number_after(reason, "_operation_bytes=");
  const std::size_t most_at = reason.find("max_");
  if (!operation || most_at == std::string_view::npos) return false;
  const auto most = number_after(reason.substr(most_at), "_bytes=");
  return most && *operation > *most;
}

bool applied_later(int status, std::string_view type) {
  return status < 300 || status == 408 || (status >= 500 && type.empty());
}

bool speaks_of_the_place(std::string_view type) {
  constexpr std::array<std::string_view, 9> places = {
      "unavailable_shards_exception", "no_shard_available_action_exception",
      "node_closed_exception",        "node_disconnected_exception",
      "node_not_connected_exception", "master_not_discovered_exception",
      "shard_not_found_exception",    "process_cluster_event_timeout_exception",
      "cluster_block_exception"};
  return std::ranges::find(places, type) != places.end();
}

std::string_view name(Outcome outcome) {
  switch (outcome) {
    case done:
      return "done";
    case superseded:
      return "superseded";
    case retry:
      return "retry";
    case shrink:
      return "shrink";
    case slow_down:
      return "slow down";
    case hold:
      return "hold";
    case dead_letter:
      return "dead letter";
  }
  return "unknown";
}

}  // namespace conveyor
