// Which nodes do work that is the number of the batch's rows times something large: the accidental O(N²).
#pragma once

#include "examine/plan_model.hpp"

#include <vector>

namespace conveyor {

struct Suspect {
  std::string_view label;
  std::string_view relation;
  std::string_view advice;
  std::string_view statement;  // where it stands
  Place place = Place::member;
  bool per_row = false;  // false: once a batch
  double read = 0;       // rows read in the whole batch
  double read_per_row = 0;
  double milliseconds = 0;  // of the node itself, and of the nested loop that repeats it; 0: not measured
};

// What is too little to speak of. Rows read cost some 50 ns each, what else is done with a row some 5 µs.
struct SuspectLimits {
  double read_per_row = 200;         // rows read for each row of the batch
  double read_when_repeated = 1e5;   // rows read in the whole batch, where a node is repeated for its rows
  double read_when_per_batch = 1e6;  // and where it is not
  double share = 0.1;                // of the batch's time, where that was measured
};

// The worst first. `milliseconds`: what the batch took, 0 where it has not run.
std::vector<Suspect> find_suspects(std::span<const Statement> statements, double batch_rows, double milliseconds,
                                   const SuspectLimits& limits = {});

// The node that took most of the time, whatever it did; an empty label where none was measured.
Suspect slowest_node(std::span<const Statement> statements);

}  // namespace conveyor
