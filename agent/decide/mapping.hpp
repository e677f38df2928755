// The Elasticsearch mapping of a feed's documents, from the types of the view's columns.
#pragma once

#include <string>
#include <vector>

#include "target/target.hpp"

namespace conveyor {

// `name`: what people search; `write`: hidden, what is written to. Empty ones are not made.
struct IndexAliases {
  std::string name, write;
};

// The body that creates an index: {"settings", "mappings", "aliases"} as JSON text, and what finish_fill() must set
// afterwards.
struct IndexPlan {
  std::string create;
  std::string restore;  // settings, JSON object; "{}" when nothing is to be restored
};

// `index_options`: the delivery's option `index`, JSON text with `settings` and `mappings`, both merged over ours (an
// object into an object, anything else replaces). `filling`: no refresh and no replicas until restored.
// Throws std::invalid_argument, whose text names the option, when the options are not of that form.
IndexPlan plan_index(const std::vector<Column>& columns, const std::string& index_options, const IndexAliases& aliases,
                     const std::string& origin, const std::string& delivery, bool filling);

// The mapping of one column, JSON text.
std::string column_mapping(const Column& column);

}  // namespace conveyor
