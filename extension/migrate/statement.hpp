// The SQL of a job: its batches, and the queries that find where ranges end. Texts are made in the current context.
#pragma once

#include "migrate/job.hpp"

namespace conveyor::migrate {

// first < key <= last, or the one row with `last`. Texts of the key's columns.
struct Range {
  int64 number;
  char** first;  // exclusive; NULL: from the beginning
  char** last;   // inclusive; NULL: to the end, in queries only
  bool single;   // just `last`
  bool piece;    // half of one that failed
  int rows;      // that there were when it was claimed
  int attempts;  // that have failed
};

// A text with its parameters.
struct Sql {
  char* text;
  Parameters parameters;
};

// The job's statement with the relation `batch` in front, or its call, for this range. `first_key` is what a call gets
// as its first key (inclusive); statements do not need it.
Sql batch_sql(const Job* job, const Range* range, char** first_key);

// The job's statement with `batch` for an unknown range: what can be said of it before it runs. All parameters are
// NULL.
Sql example_sql(const Job* job);

// The same for a statement that reads `gone`, the key columns of rows that are not there any more.
Sql gone_example_sql(const Job* job, const char* statement);

// The key of the source's `number`th row in the range, as text[]: one row, or none where there are fewer.
Sql nth_key_sql(const Job* job, const Range* range, int64 number);

// How many rows the source has in the range: a bigint.
Sql count_sql(const Job* job, const Range* range);

// The greatest key of the source, as text[].
Sql last_key_sql(const Job* job);

// All rows up to a key, for the planner to estimate; nobody runs it.
Sql all_rows_sql(const Job* job);

// Puts the definition of `batch` in front of a statement that may have a WITH of its own. An error for what is not one
// statement that may stand behind a WITH, or has parameters.
char* with_batch(const char* statement, const char* name, const char* definition);

}  // namespace conveyor::migrate
