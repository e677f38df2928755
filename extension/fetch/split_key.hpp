// The text of a key of several columns: a JSON array of strings, as array_to_json() writes it.
#pragma once

#include "compat.hpp"

namespace conveyor {

// Splits a key's text into the texts of `columns` columns; false where it is not the text of any key. Pure.
bool split_key(const char* text, int columns, char** parts);

}  // namespace conveyor
