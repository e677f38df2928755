// The text of a key query: the document's key from the relation `changed`, which stands for a table, and other tables.
#pragma once

#include "derive/graph.hpp"

namespace conveyor {

struct KeyQuery {
  Bitmapset* nodes;  // of the graph; node 0 is `changed`
  List* conditions;  // Condition *
  Node** key;        // in terms of the graph
};

// `columns`: String *, those of `changed`; `numbers`: their numbers in the table. Names are qualified as far as the
// search path in force does not find them.
const char* key_query_text(const Graph* graph, const KeyQuery& query, List* columns, List* numbers);

}  // namespace conveyor
