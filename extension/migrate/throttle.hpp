// Whether a batch may begin now.
#pragma once

#include "migrate/job.hpp"

namespace conveyor::migrate {

// Why none may, or NULL. What is found holds for a second, so that small batches do not ask each time.
const char* throttle_of(const Job* job);

}  // namespace conveyor::migrate
