// Finding where a range ends by walking the source's index: what the query of nth_key_sql() does, at a fraction of its
// cost a row, for pages are read and not rows. It matters, for it is the one thing besides the statement itself that is
// done for every row.
#pragma once

#include "migrate/statement.hpp"

namespace conveyor::migrate {

struct Walk {
  int64 rows;  // that were met, `number` at most
  char** key;  // of the last of them, if there are `number`; else NULL
};

// The source's `number`th row in the range. False where only the query can tell: of a partitioned table, of one with
// row security for this role, or where it may not read the table as a whole. Settings for key texts must be in force.
bool walk_index(const Job* job, const Range* range, int64 number, Walk* walk);

}  // namespace conveyor::migrate
