// The relation `changed` where a key query is looked at and not run.
#pragma once

#include "compat.hpp"

extern "C" {
#include "utils/queryenvironment.h"
}

namespace conveyor {

// The named columns of the table; one that it does not have is an error.
TupleDesc shape_of_changed(Oid relation, char** columns, int count);

// `changed` without rows; `expected`: how many the planner is to think of.
QueryEnvironment* environment_with_changed(TupleDesc shape, double expected);

}  // namespace conveyor
