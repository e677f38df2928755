// The keys that a caller asks for: their texts, which of them have been met, and their values for SQL.
#pragma once

#include "fetch/feed.hpp"
#include "window/key_set.hpp"

namespace conveyor {

struct AskedKeys {
  KeySet texts;   // those asked for, each once
  KeySet met;     // those of them that the view has
  Datum* arrays;  // one array of values for each key column: only keys that are values of their types
  Size missing;   // offset in `texts` up to which missing ones have been reported
};

// Keys whose text is no value of the key's type cannot be in the view: they are in `texts` and in no array. The feed's
// scope must be in force, since what a text means depends on it.
void asked_init(AskedKeys* asked, const Feed* feed, char** keys, int count);

// Notes that the view has a row of this id; ids that nobody asked for are ignored.
void asked_met(AskedKeys* asked, const char* id, uint32 length);

// The next key that the view does not have; false when there are no more.
bool asked_next_missing(AskedKeys* asked, const char** key, uint32* length);

// What ids mean: an array of values for each key column, of those that are keys, in their order. problems[i] becomes
// why texts[i] is none, NULL for the others. The feed's scope must be in force.
Datum* parse_ids(const Feed* feed, char** texts, int count, const char** problems);

// Parses key texts, one a column, into values of the columns' types; an error where one is none.
void key_values(const Feed* feed, char** texts, int count, Datum* values);

}  // namespace conveyor
