#pragma once

#include <string>
#include <vector>

namespace conveyor {

// `conveyor status`: deliveries and agents as tables for people; `watch`: again every second until interrupted.
int run_status(const std::vector<std::string>& databases, bool watch);

// Aligned columns under their titles. Public for tests.
std::string format_table(const std::vector<std::string>& titles, const std::vector<std::vector<std::string>>& rows);

}  // namespace conveyor
