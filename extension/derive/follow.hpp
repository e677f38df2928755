// How a changed row of one occurrence of a table leads to its documents (docs/feeds.md).
//
// The method: what a document's key needs is joined to the occurrence by the smallest connected part of the join graph.
// Leaving conditions out only ever adds keys, and a document that is read once more is the same document.
#pragma once

#include "derive/tree.hpp"

namespace conveyor {

struct Followed {
  List* texts;          // char *: key queries, which together find the documents
  const char* failure;  // why there are none, a clause that follows "it"; NULL: there are some
};

// `columns` and `numbers`: as in key_query_text().
Followed follow(const Tree* tree, const Occurrence* occurrence, const AttrNumber* key, int keys, List* columns,
                List* numbers);

}  // namespace conveyor
