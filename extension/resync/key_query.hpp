// The query of a resync: it returns the keys of the documents to be sent again. What it must be, and how it is run.
//
// It is the caller's own: it runs with the caller's rights and settings, in a restricted context in which nothing can
// be written. The server's own parser and analysis judge it, so that what is found here is what would be run.
#pragma once

#include "fetch/feed.hpp"

namespace conveyor {

// Something that is wrong with a query, or that may surprise.
struct Finding {
  bool error;
  const char* problem;
  const char* remedy;  // NULL: none
  int position;        // in characters from 1; 0: of no place
};

struct KeyQuery {
  char* statement;  // without what stands behind it
  int columns;
  bool ids;        // its one column has ids of several key columns
  List* findings;  // Finding *
};

// Judges the text without running it. What the server itself refuses (syntax, names that do not exist) is raised.
// `feed` NULL: nothing is known of the keys. The caller's scope must be in force.
KeyQuery examine_key_query(const char* text, const Feed* feed);

// The statement that returns the key's columns, or texts that are ids. `feed` NULL: the query's own columns.
const char* key_query_sql(const KeyQuery* query, const Feed* feed, bool one_row);

// What runs between the two can write nothing: not even a function that it calls.
bool read_only_enter();
void read_only_leave(bool before);

// Runs it for one row and looks at that row.
void try_key_query(const KeyQuery* query, const Feed* feed);

}  // namespace conveyor
