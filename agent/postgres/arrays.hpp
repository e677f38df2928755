// text[] as PostgreSQL writes and reads it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace conveyor {

std::string text_array(const std::vector<std::string>& values);
// Throws std::invalid_argument when `literal` is no one-dimensional array without NULLs.
std::vector<std::string> parse_text_array(std::string_view literal);

}  // namespace conveyor
