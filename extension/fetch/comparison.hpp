// Comparing the columns of a key with parameters, in the order of the columns.
#pragma once

#include "fetch/feed.hpp"

extern "C" {
#include "lib/stringinfo.h"
}

namespace conveyor {

// (a, b) <op> ($n, $n+1). Where all operators live in pg_catalog it is a row comparison, which an index on (a, b)
// serves; else it is spelled out, and an index still serves the first column. `columns` are names to use in place of
// the key's own, NULL: none. What is appended may be a conjunction: no OR stands outside of parentheses.
void append_comparison(StringInfo sql, const KeyColumn* key, int keys, const char* alias, char** columns, bool greater,
                       bool or_equal, int parameter);

}  // namespace conveyor
