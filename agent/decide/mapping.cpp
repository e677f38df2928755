#include "decide/mapping.hpp"

#include <array>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

#include "decide/json.hpp"

namespace conveyor {

namespace {

// Characters: 8191 of four bytes each stay below Lucene's 32,766 bytes for one term.
#define CONVEYOR_KEYWORD R"({"type":"keyword","ignore_above":8191})"
#define CONVEYOR_TEXT R"({"type":"text","fields":{"keyword":{"type":"keyword","ignore_above":8191}}})"
#define CONVEYOR_DATE R"({"type":"date","format":"strict_date_optional_time"})"

struct Row {
  std::string_view type, mapping;
};

// What PostgreSQL's to_json writes, and what takes it. Whatever the index makes of a value, `_source` keeps it as it
// was written.
constexpr auto table = std::to_array<Row>({
    {"text", CONVEYOR_TEXT},
    {"varchar", CONVEYOR_TEXT},
    {"bpchar", CONVEYOR_TEXT},
    {"citext", CONVEYOR_TEXT},
    {"name", CONVEYOR_KEYWORD},
    {"char", CONVEYOR_KEYWORD},

    {"bool", R"({"type":"boolean"})"},
    {"int2", R"({"type":"short"})"},
    {"int4", R"({"type":"integer"})"},
    {"int8", R"({"type":"long"})"},
    {"oid", R"({"type":"long"})"},
    {"float4", R"({"type":"float"})"},
    {"float8", R"({"type":"double"})"},
    // No type of the servers is exact for numeric. double orders and sums any magnitude with 15 digits; scaled_float
    // would need a scale that the column does not promise, and cuts or overflows where it guesses wrong. 'NaN' and
    // 'Infinity' are strings in JSON and no numbers to the server: such a document is refused and becomes a dead
    // letter.
    {"numeric", R"({"type":"double"})"},

    // "2024-01-31", "2024-01-31T12:34:56.123456", "…+00:00". The index keeps milliseconds: date_nanos ends in 2262 and
    // would refuse more. Infinity, years before 1 or above 9999 are refused: dead letters.
    {"date", CONVEYOR_DATE},
    {"timestamp", CONVEYOR_DATE},
    {"timestamptz", CONVEYOR_DATE},

    {"uuid", CONVEYOR_KEYWORD},
    {"enum", CONVEYOR_KEYWORD},
    // An address with a network's length ("10.0.0.1/8" of type inet) is none to the server: cidr is the type for
    // networks.
    {"inet", R"({"type":"ip"})"},
    {"cidr", R"({"type":"ip_range"})"},
    // Kept, not searched: a term may have 32,766 bytes, a bytea a gigabyte.
    {"bytea", R"({"type":"keyword","index":false,"doc_values":false})"},

    {"json", R"({"type":"object"})"},
    {"jsonb", R"({"type":"object"})"},
    {"composite", R"({"type":"object"})"},
    // Types that bring a cast to json of their own.
    {"hstore", R"({"type":"object"})"},
    {"geometry", R"({"type":"object"})"},
    {"geography", R"({"type":"object"})"},
});

#undef CONVEYOR_TEXT
#undef CONVEYOR_DATE
constexpr std::string_view unknown_type = CONVEYOR_KEYWORD;
#undef CONVEYOR_KEYWORD

// Settings that are of no use while an index is filled: what was wished waits in IndexPlan::restore, null being the
// server's own default.
struct WhileFilling {
  const char* setting;
  const char* value;  // JSON; nullptr: left out
};
constexpr auto while_filling = std::to_array<WhileFilling>({
    {"index.refresh_interval", R"("-1")"},
    {"index.number_of_replicas", R"("0")"},
    {"index.auto_expand_replicas", nullptr},
});

// "index": {"a": {"b": 1}}, "a.b": 1 and "index.a.b": 1 are one setting; its one name here is the last.
void flatten(json_t* into, const std::string& prefix, json_t* settings) {
  const char* key;
  json_t* value;
  json_object_foreach(settings, key, value) {
    const std::string name = prefix.empty() ? key : prefix + "." + key;
    if (json_is_object(value)) {
      flatten(into, name, value);
      continue;
    }
    const bool prefixed = name.starts_with("index.");
    json_object_set(into, (prefixed ? name : "index." + name).c_str(), value);
  }
}

void merge(json_t* into, json_t* over) {
  const char* key;
  json_t* value;
  json_object_foreach(over, key, value) {
    json_t* present = json_object_get(into, key);
    if (json_is_object(present) && json_is_object(value))
      merge(present, value);
    else
      json_object_set(into, key, value);
  }
}

// A column whose mapping the options give another type keeps nothing of ours: "fields" of text do not fit a keyword.
void merge_mappings(json_t* ours, json_t* theirs) {
  json_t* columns = json_object_get(ours, "properties");
  const char* name;
  json_t* wished;
  json_object_foreach(json_object_get(theirs, "properties"), name, wished) {
    if (json_object_get(wished, "type") || json_object_get(wished, "properties")) json_object_del(columns, name);
  }
  merge(ours, theirs);
}

json_t* option_object(const json_t* options, const char* name) {
  json_t* value = json_object_get(options, name);
  if (value && !json_is_object(value))
    throw std::invalid_argument(fmt::format("option index.{} must be an object", name));
  return value;
}

Json our_mappings(const std::vector<Column>& columns, const std::string& origin, const std::string& delivery) {
  Json mappings(json_object());
  json_object_set_new(mappings.get(), "_meta",
                      json_pack("{s:{s:s%,s:s%}}", "pg_conveyor", "origin", origin.data(), origin.size(), "delivery",
                                delivery.data(), delivery.size()));
  json_t* properties = json_object();
  json_object_set_new(mappings.get(), "properties", properties);
  for (const Column& column : columns)
    json_object_set_new(properties, column.name.c_str(), parse_json(column_mapping(column)).release());
  return mappings;
}

}  // namespace

std::string column_mapping(const Column& column) {
  // An array needs no mapping of its own: every field may hold several values.
  for (const Row& row : table)
    if (row.type == column.type) return std::string(row.mapping);
  return std::string(unknown_type);
}

IndexPlan plan_index(const std::vector<Column>& columns, const std::string& index_options, const IndexAliases& aliases,
                     const std::string& origin, const std::string& delivery, bool filling) {
  const Json options = parse_json(index_options.empty() ? "{}" : index_options);
  if (!json_is_object(options.get())) throw std::invalid_argument("option index must be an object");

  Json settings(json_object());
  // Deletes are remembered for as long as a request may be late (the ledger of deletes covers the rest).
  json_object_set_new(settings.get(), "index.gc_deletes", json_string("1h"));
  if (json_t* wished = option_object(options.get(), "settings")) flatten(settings.get(), "", wished);

  Json restore(json_object());
  if (filling) {
    for (const auto& [setting, value] : while_filling) {
      json_t* wished = json_object_get(settings.get(), setting);
      if (wished || value) json_object_set_new(restore.get(), setting, wished ? json_incref(wished) : json_null());
      if (value)
        json_object_set_new(settings.get(), setting, parse_json(value).release());
      else
        json_object_del(settings.get(), setting);
    }
  }

  Json mappings = our_mappings(columns, origin, delivery);
  if (json_t* wished = option_object(options.get(), "mappings")) {
    // The mark by which the index is known again is not the options' to change.
    const Json meta(json_deep_copy(json_object_get(mappings.get(), "_meta")));
    merge_mappings(mappings.get(), wished);
    json_t* merged = json_object_get(mappings.get(), "_meta");
    if (!json_is_object(merged)) throw std::invalid_argument("option index.mappings._meta must be an object");
    json_object_update(merged, meta.get());
  }

  Json create(json_object());
  json_object_set_new(create.get(), "settings", settings.release());
  json_object_set_new(create.get(), "mappings", mappings.release());
  if (!aliases.write.empty()) {
    json_t* made = json_pack("{s:{s:b}}", aliases.write.c_str(), "is_hidden", 1);
    if (!aliases.name.empty()) json_object_set_new(made, aliases.name.c_str(), json_object());
    json_object_set_new(create.get(), "aliases", made);
  }
  return {to_text(create.get()), to_text(restore.get())};
}

}  // namespace conveyor
