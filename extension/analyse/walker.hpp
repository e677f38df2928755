// The server's tree walkers take a function of unspecified arguments (until 15) or cast to their own type (from 16 on).
#pragma once

#include "compat.hpp"

extern "C" {
#include "nodes/nodeFuncs.h"
}

namespace conveyor {

inline auto as_walker(bool (*walker)(Node*, void*)) {
  return reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(walker));
}

}  // namespace conveyor
