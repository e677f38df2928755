// The server's tree walkers and mutators take a function of unspecified arguments (until 15) or cast to their own type
// (from 16 on).
#pragma once

#include "compat.hpp"

extern "C" {
#include "nodes/execnodes.h"
#include "nodes/nodeFuncs.h"
}

namespace conveyor {

inline auto as_walker(bool (*walker)(Node*, void*)) {
  return reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(walker));
}

inline auto as_planstate_walker(bool (*walker)(PlanState*, void*)) {
  return reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(walker));
}

inline auto as_mutator(Node* (*mutator)(Node*, void*)) {
  return reinterpret_cast<Node* (*)()>(reinterpret_cast<void (*)()>(mutator));
}

}  // namespace conveyor
