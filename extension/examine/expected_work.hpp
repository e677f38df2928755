// What a plan will do for one batch, from the planner's estimates and the number of rows that the batch really has.
//
// The planner may believe that a range of the source has one row where there are ten thousand, and so choose a nested
// loop that it would not choose otherwise. What depends on the source's rows is therefore scaled.
#pragma once

#include "examine/plan_model.hpp"

#include <vector>

namespace conveyor {

std::vector<NodeWork> expected_work(std::span<const PlanNode> nodes, double batch_rows);

}  // namespace conveyor
