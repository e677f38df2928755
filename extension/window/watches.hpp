// Which captures concern a window of a feed, and what each watch makes of them.
#pragma once

#include "fetch/feed.hpp"
#include "log/entry.hpp"
#include "window/key_set.hpp"

namespace conveyor {

// One definition that a trigger ever had, with what a slice of the window has collected of it.
struct WindowCapture {
  const CaptureDefinition* definition;
  bool used;         // by any watch; else its keys are passed over
  KeySet entries;    // distinct recorded images
  const char* lost;  // not NULL: why what it recorded cannot be followed; each row asks for a re-check
};

// A watch and a capture of its relation that has all that the watch needs.
struct WatchedCapture {
  WindowCapture* capture;
  Oid relation;
  char* documents;  // the key query
  int columns;      // of `changed`
  char** names;
  int* mapping;  // column of `changed` -> column of the capture
  int* plain;    // where the key query only picks columns of `changed`: which, by key column; else NULL
};

struct Watches {
  int captures;
  WindowCapture* capture;  // ascending by number
  int pairs;
  WatchedCapture* pair;
};

// Reads definitions with the rights of `reader`.
Watches* watches_load(const Feed* feed, Oid reader);

// The capture of that number; NULL where it is none of the feed's.
WindowCapture* watches_capture(Watches* watches, int32 number);

// Where `documents` has the form SELECT <columns> FROM changed: the columns' positions in `names`; else NULL. Such a
// query needs no executor.
int* plain_columns(const char* documents, char** names, int count, int wanted);

}  // namespace conveyor
