#include "run/json.hpp"

#include <algorithm>

namespace conveyor {

std::string string_member(const json_t* object, const char* name, std::string otherwise) {
  const json_t* value = json_object_get(object, name);
  return json_is_string(value) ? text_of(value) : otherwise;
}

std::int64_t integer_member(const json_t* object, const char* name, std::int64_t otherwise) {
  const json_t* value = json_object_get(object, name);
  if (json_is_integer(value)) return json_integer_value(value);
  return json_is_real(value) ? static_cast<std::int64_t>(json_real_value(value)) : otherwise;
}

double number_member(const json_t* object, const char* name, double otherwise) {
  const json_t* value = json_object_get(object, name);
  return json_is_number(value) ? json_number_value(value) : otherwise;
}

bool boolean_member(const json_t* object, const char* name, bool otherwise) {
  const json_t* value = json_object_get(object, name);
  return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

std::string text_member(const json_t* object, const char* name) {
  const json_t* value = json_object_get(object, name);
  return value && !json_is_null(value) ? to_text(value) : std::string();
}

Json storable_text(std::string_view text) {
  std::string clean(text);
  std::replace(clean.begin(), clean.end(), '\0', '?');
  if (json_t* value = json_stringn(clean.data(), clean.size())) return Json(value);
  for (char& c : clean)
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  return Json(json_stringn(clean.data(), clean.size()));
}

}  // namespace conveyor
