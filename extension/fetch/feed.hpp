// What a fetch must know of its feed: looked up afresh by each call, so that an altered feed takes effect at once.
#pragma once

#include "compat.hpp"
#include "log/cursor.hpp"

namespace conveyor {

// A column of the document key.
struct KeyColumn {
  char* name;
  Oid type;         // base type: domains are resolved, so that their checks cannot refuse an old key
  char* type_name;  // schema-qualified, for SQL
  char* equal;      // OPERATOR(schema.=) and so on, for SQL
  char* less;
  char* less_equal;
  char* greater;
  char* greater_equal;
  bool exact;  // values that are equal have equal texts
};

struct Feed {
  char* name;
  char* delivery;
  Oid view;
  char* view_name;  // qualified and quoted
  int keys;
  KeyColumn* key;
  Oid root;         // InvalidOid: none
  char* root_name;  // qualified and quoted
  char** root_key;  // the root's columns, parallel to `key`; NULL without a root
  char* search_path;
  Oid owner;
  int epoch;
  const PgSnapshot* cursor;  // of the delivery; null before it has one
};

// Reads the definitions with the rights of `reader` (the owner of the extension's functions) in the latest snapshot.
// An unknown delivery or a view that is gone is an error. Allocates in the current context.
Feed* feed_lookup(const char* delivery, Oid reader);

// The owner of the function that is being called.
Oid function_owner(Oid function);

// The name of a relation, qualified and quoted; NULL where it is gone.
char* relation_name(Oid relation);

// Base types whose equality is equality of texts: for the others two different ids may compare equal (citext, 1.0 and
// 1.00, blank-padded and case-insensitive text).
bool is_exact_type(Oid type);

// Completes what SQL needs to know of a key column's type; an error for a type that cannot be a key.
KeyColumn key_column(const char* name, Oid type);

// The same where the key is for something else: what the error says it cannot be, and its hint.
KeyColumn key_column_for(const char* purpose, const char* name, Oid type, const char* hint);

}  // namespace conveyor
