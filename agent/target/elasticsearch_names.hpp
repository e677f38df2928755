// Paths, marks and words that the Elasticsearch target's parts share.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

#include "decide/json.hpp"

namespace conveyor {

// For use as one segment of a URL's path.
inline std::string url_segment(std::string_view text) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~";
  constexpr char hex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (plain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += '%';
      out += hex[static_cast<unsigned char>(c) >> 4];
      out += hex[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

// The alias that is written to. Documents go to an alias with require_alias=true, since a bulk request to the name of
// an index that someone deleted would make a new one: without our mapping, without our alias, and nobody would notice.
// It is ours alone and has one index, so that it also tells an index of ours from one that somebody made anew under its
// name.
inline std::string write_alias(const std::string& index) { return index + "-write"; }

// Asks for what is_ours() and uuid_of() read, and for the aliases.
inline std::string look_path(const std::string& index) {
  return "/" + url_segment(index) + "?filter_path=*.aliases,*.mappings._meta,*.settings.index.uuid";
}

// Whether an answer to look_path() shows the concrete index with our mark.
inline bool is_ours(const json_t* answer, const std::string& index, const std::string& origin) {
  const json_t* mappings = json_object_get(json_object_get(answer, index.c_str()), "mappings");
  const json_t* mark = json_object_get(json_object_get(mappings, "_meta"), "pg_conveyor");
  return mark && !origin.empty() && text_of(mark, "origin") == origin;
}

// What an index has that no other one ever had, even under its name; empty when the answer does not say.
inline std::string uuid_of(const json_t* answer, const std::string& index) {
  const json_t* settings = json_object_get(json_object_get(answer, index.c_str()), "settings");
  return text_of(json_object_get(settings, "index"), "uuid");
}

// One action of a request to _aliases; `definition` (filter, routing, …) is taken over and may be empty.
inline json_t* add_alias(const std::string& index, const std::string& alias, json_t* definition) {
  json_object_set_new(definition, "index", json_text(index).release());
  json_object_set_new(definition, "alias", json_text(alias).release());
  return json_pack("{s:o}", "add", definition);
}

inline json_t* remove_alias(const std::string& index, const std::string& alias) {
  return json_pack("{s:{s:o,s:o}}", "remove", "index", json_text(index).release(), "alias", json_text(alias).release());
}

// A name inside quotes of SQL.
inline std::string sql_literal(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "''" : std::string(1, c);
  return out + "'";
}

// The error type of an index that is gone, and of an alias that is none, asked for with require_alias.
constexpr const char* index_not_found = "index_not_found_exception";

inline std::string missing(const std::string& index, const std::string& delivery) {
  const std::string name = sql_literal(delivery);
  return fmt::format(
      "index \"{}\" is missing in the target; to fill a new one run: SELECT conveyor.resync_all({}); SELECT "
      "conveyor.resume_delivery({})",
      index, name, name);
}

inline std::string replaced(const std::string& index, const std::string& delivery) {
  const std::string name = sql_literal(delivery);
  return fmt::format(
      "index \"{}\" in the target is not the one that was delivered to (restored, or made anew); to bring it up to "
      "date "
      "run: SELECT conveyor.resync_all({}); SELECT conveyor.resume_delivery({})",
      index, name, name);
}

inline std::string not_ours(const std::string& index, const std::string& delivery) {
  return fmt::format(
      "index \"{}\" in the target was not made by this delivery; create the delivery anew with another destination, or "
      "delete or rename that index, then run: SELECT conveyor.resume_delivery({})",
      index, sql_literal(delivery));
}

}  // namespace conveyor
