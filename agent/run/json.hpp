// Reading members of the database's JSON answers; decide/json.hpp has the values themselves.
#pragma once

#include <cstdint>
#include <string>

#include "decide/json.hpp"

namespace conveyor {

// Members of an object; absent, null and of another type are all "not there".
std::string string_member(const json_t* object, const char* name, std::string otherwise = {});
std::int64_t integer_member(const json_t* object, const char* name, std::int64_t otherwise = 0);
double number_member(const json_t* object, const char* name, double otherwise = 0);
bool boolean_member(const json_t* object, const char* name, bool otherwise = false);
// The member as JSON text; empty when it is not there.
std::string text_member(const json_t* object, const char* name);

// A string value that PostgreSQL accepts in jsonb: what is not UTF-8 and NULs are shown as '?'.
Json storable_text(std::string_view text);

}  // namespace conveyor
