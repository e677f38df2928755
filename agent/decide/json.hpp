// Jansson's values with an owner.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include <jansson.h>

namespace conveyor {

struct JsonRelease {
  void operator()(json_t* json) const { json_decref(json); }
};
using Json = std::unique_ptr<json_t, JsonRelease>;

// Empty when `text` is not JSON. NULs are let through: whoever stores a string in PostgreSQL replaces them.
inline Json parse_json(std::string_view text) {
  return Json(json_loadb(text.data(), text.size(), JSON_ALLOW_NUL | JSON_DECODE_ANY, nullptr));
}

// A string's text; empty when it is none.
inline std::string text_of(const json_t* json) {
  return json_is_string(json) ? std::string(json_string_value(json), json_string_length(json)) : std::string();
}

inline std::string text_of(const json_t* object, const char* key) { return text_of(json_object_get(object, key)); }

inline Json json_text(std::string_view text) { return Json(json_stringn(text.data(), text.size())); }

inline std::string to_text(const json_t* json) {
  char* text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
  std::string copy(text ? text : "");
  std::free(text);
  return copy;
}

}  // namespace conveyor
