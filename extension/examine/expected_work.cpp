#include "examine/expected_work.hpp"

#include <algorithm>

namespace conveyor {

namespace {

// Whose rows come from the source: what reads it, what has such an input, what reads a CTE that has.
std::vector<bool> fed_by_source(std::span<const PlanNode> nodes) {
  std::vector<bool> fed(nodes.size());
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = nodes.size(); i-- > 0;) {
      const PlanNode& node = nodes[i];
      if (!fed[i] && (node.source || (node.input >= 0 && fed[node.input]))) fed[i] = changed = true;
      const bool hands_up = node.place != Place::subselect && node.place != Place::once;
      if (fed[i] && hands_up && node.parent >= 0 && !fed[node.parent]) fed[node.parent] = changed = true;
    }
  }
  return fed;
}

// Rows that the planner expects of the batch: of the reads of the source that are not repeated. The statement may read
// the source once more, all of it: the batch is the smallest.
double believed_rows(std::span<const PlanNode> nodes) {
  double believed = 0;
  for (const PlanNode& node : nodes) {
    if (!node.source || node.place == Place::repeated || node.place == Place::subselect) continue;
    const double rows = std::max(node.expected_rows, 1.0);
    believed = believed == 0 ? rows : std::min(believed, rows);
  }
  return std::max(believed, 1.0);
}

}  // namespace

std::vector<NodeWork> expected_work(std::span<const PlanNode> nodes, double batch_rows) {
  const std::vector<bool> fed = fed_by_source(nodes);
  const double scale = batch_rows / believed_rows(nodes);
  const auto rows = [&](size_t i) { return nodes[i].expected_rows * (fed[i] ? scale : 1); };

  std::vector<NodeWork> work(nodes.size());
  std::vector<double> outer(nodes.size(), 1);  // rows an execution of the outer input, by parent
  std::vector<double> begun(nodes.size(), 1);  // executions of the plan or sub-select that the node is part of
  for (size_t i = 0; i < nodes.size(); ++i) {
    const PlanNode& node = nodes[i];
    double loops = 1;
    if (node.parent >= 0) {
      const size_t parent = node.parent;
      const double parent_loops = nodes[parent].keeps ? begun[parent] : work[parent].loops;
      begun[i] = begun[parent];
      switch (node.place) {
        case Place::repeated:
          loops = parent_loops * std::max(outer[parent], 1.0);
          break;
        case Place::subselect:
          loops = begun[i] = parent_loops * std::max(rows(parent), fed[parent] ? batch_rows : 1.0);
          break;
        case Place::once:
          loops = begun[parent];
          break;
        case Place::outer:
          outer[parent] = rows(i);
          [[fallthrough]];
        case Place::member:
        case Place::inner:
          loops = parent_loops;
      }
    }
    const double read = node.expected_read * (node.input >= 0 && fed[node.input] ? scale : 1);
    work[i] = {loops, loops * rows(i), loops * std::max(read - rows(i), 0.0), 0};
  }
  return work;
}

}  // namespace conveyor
