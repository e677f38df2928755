#pragma once

#include <string>
#include <vector>

#include "cli/command.hpp"

namespace conveyor {

// `conveyor status`: deliveries and agents as tables for people.
void add_status_command(CLI::App& app, Command& chosen);

// Aligned columns under their titles. Public for tests.
std::string format_table(const std::vector<std::string>& titles, const std::vector<std::vector<std::string>>& rows);

}  // namespace conveyor
