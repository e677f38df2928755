// What the guard tells people: job_status.warning.
#pragma once

#include "examine/growth.hpp"
#include "examine/suspects.hpp"

#include <string>

namespace conveyor {

// "time per row grows with the batch size (n^1.9): Seq Scan on pg_temp.price reads 10000 rows for each row of a batch,
// in …; CREATE INDEX ON pg_temp.price (sku)". Empty where there is nothing to tell. Where there is growth and no
// suspect, `slowest` is named.
std::string warning_of(const Growth& growth, const std::vector<Suspect>& suspects, const Suspect& slowest);

}  // namespace conveyor
