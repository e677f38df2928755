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

inline std::string meta_path(const std::string& index_or_alias) {
  return "/" + url_segment(index_or_alias) + "/_mapping";
}

// Whether an answer to meta_path() shows the concrete index with our mark.
inline bool is_ours(const json_t* answer, const std::string& index, const std::string& origin) {
  const json_t* mappings = json_object_get(json_object_get(answer, index.c_str()), "mappings");
  const json_t* mark = json_object_get(json_object_get(mappings, "_meta"), "pg_conveyor");
  return mark && !origin.empty() && text_of(mark, "origin") == origin;
}

// A name inside quotes of SQL.
inline std::string sql_literal(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "''" : std::string(1, c);
  return out + "'";
}

inline std::string missing(const std::string& index, const std::string& delivery) {
  const std::string name = sql_literal(delivery);
  return fmt::format(
      "index \"{}\" is missing in the target; to fill a new one run: SELECT conveyor.resync_all({}); SELECT "
      "conveyor.resume_delivery({})",
      index, name, name);
}

inline std::string missing_half_filled(const std::string& index, const std::string& delivery) {
  return fmt::format(
      "index \"{}\" was deleted in the target while it was being filled; to begin again run: SELECT "
      "conveyor.drop_delivery({}), then SELECT conveyor.create_delivery with its definition",
      index, sql_literal(delivery));
}

inline std::string not_ours(const std::string& index, const std::string& delivery) {
  return fmt::format(
      "index \"{}\" in the target was not made by this delivery; choose another destination (SELECT "
      "conveyor.alter_delivery), or delete or rename that index, then run: SELECT conveyor.resume_delivery({})",
      index, sql_literal(delivery));
}

}  // namespace conveyor
