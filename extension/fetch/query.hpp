// The SQL of a fetch: over the feed's view as "v", all names qualified, values as parameters, operators by schema.
//
// Every query returns the document's id (text, NULL where a key column is) as its first column. Texts are made in the
// current context.
#pragma once

#include "fetch/feed.hpp"

extern "C" {
#include "executor/spi.h"
}

namespace conveyor {

// Contents: the hash of each document, which travels instead of it.
enum class Wanted { documents, contents, keys };

// Rows whose key is equal to one of the given: parameter i is an array of the i-th key column's values, all of one
// length. Ordered so that rows of one id are neighbours.
const char* query_by_keys(const Feed* feed, Wanted wanted);

// Rows with first < key <= last: one parameter a column for `first`, then one a column for `last`; either may be
// absent.
const char* query_by_range(const Feed* feed, Wanted wanted, bool first, bool last);

// How many rows have a NULL in their key: one row, id NULL, count.
const char* query_null_keys(const Feed* feed);

// The root's key, `documents` (the last parameter) rows behind `after`, as text[].
const char* query_range_end(const Feed* feed, bool after);

// The id of a document from the columns of the alias: text of the column, or JSON array of the texts.
void append_id(StringInfo sql, const Feed* feed, const char* alias, char** columns);

// Prepares for the key columns' types (`arrays`: their array types), `repeat` times over, and `extra` at the end.
SPIPlanPtr prepare_query(const Feed* feed, const char* sql, int repeat, bool arrays, Oid extra);

// As above, but kept in this session for the next call; follows changes of the view by itself.
SPIPlanPtr kept_query(const Feed* feed, const char* sql, bool arrays);

}  // namespace conveyor
