// Ids of documents from values, without SQL: the same texts as append_id() makes in a query.
#pragma once

#include "fetch/feed.hpp"

namespace conveyor {

// True for types whose cast to text is their output function.
bool key_text_is_output(Oid type);

struct KeyWriter {
  int keys;
  Oid* types;
  FmgrInfo* outputs;
};

void key_writer_init(KeyWriter* writer, const Feed* feed);

// Writes the id of a key; the values are of the key's types and not NULL. Leaves garbage in the current context.
void key_write(KeyWriter* writer, const Datum* values, StringInfo id);

}  // namespace conveyor
