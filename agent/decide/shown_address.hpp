// Addresses that people give: what of them may be shown, logged and stored. Pure.
#pragma once

#include <string>
#include <string_view>

namespace conveyor {

// http://… or https://…; anything else is a file's name.
bool is_address(std::string_view text);

// Without query and fragment: the query of a signed address is a secret.
std::string shown_address(std::string_view address);

// Why it cannot be used; empty: it can. The text has no secret in it.
std::string address_problem(std::string_view address);

}  // namespace conveyor
