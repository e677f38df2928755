// What a connection string says, before there is a connection.
#pragma once

#include <string>

namespace conveyor {

// The database that it leads to, for people: never a password. The service's name where only a service is given.
std::string database_of(const std::string& conninfo);

}  // namespace conveyor
