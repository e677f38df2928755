// One value of a log line, which is logfmt: key=value, separated by blanks.
#pragma once

#include <string>
#include <string_view>

namespace conveyor {

// As it stands where that is one word; else in quotes, on one line, with quotes and backslashes escaped.
std::string log_text(std::string_view value);

}  // namespace conveyor
