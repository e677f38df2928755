// What the plan of a statement lets expect, before it runs.
#pragma once

#include "compat.hpp"

namespace conveyor {

// A statement with its parameters, as it will be run for a batch.
struct BatchStatement {
  const char* text;
  int parameters;
  const Oid* types;
  const Datum* values;
  const char* nulls;  // as SPI takes them
};

// Plans it for these very values, with the session's rights, and asks nothing but the plan. The warning, in the current
// context; NULL where there is nothing to tell. `source` is what the batch is read from, or none; `rows` how many it
// has.
const char* examine_plan(const BatchStatement& statement, Oid source, double rows);

}  // namespace conveyor
