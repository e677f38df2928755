// Sees every statement that runs in this session while a batch does, those inside functions and triggers too: the
// executor's hooks, which do nothing else but test one flag.
//
// Between probe_begin() and probe_end() each statement is instrumented as EXPLAIN ANALYZE does it. What the plans'
// nodes have done is added up by statement, and read off also when an error ends a statement: a batch that runs into
// its timeout is the one that must be explained.
#pragma once

#include "compat.hpp"
#include "examine/plan_model.hpp"

#include <vector>

namespace conveyor {

// Once, in _PG_init.
void follow_executor();

// `source`: the job's, or none. What an earlier batch has left is forgotten.
void probe_begin(Oid source);

// Stops; may be called again, and after an error. The end of a transaction does it too.
void probe_end();

// What was seen between the two; valid until the next probe_begin(). Calls nothing in the server.
std::vector<Statement> probe_statements();

}  // namespace conveyor
