#include "postgres/error.hpp"

namespace conveyor {

Trouble classify(std::string_view sqlstate) {
  if (sqlstate == "CV001") return Trouble::lease_lost;
  if (sqlstate == "CV002") return Trouble::protocol;
  if (sqlstate == "57014") return Trouble::timeout;
  if (sqlstate.size() != 5) return Trouble::transient;
  const std::string_view group = sqlstate.substr(0, 2);
  // Raised by the view's expressions or by functions that it calls. XX: internal errors and corrupted rows are met
  // while one row is computed, so bisecting finds it.
  for (const char* data : {"20", "21", "22", "23", "27", "2F", "34", "38", "39", "54", "P0", "XX"})
    if (group == data) return Trouble::data;
  for (const char* definition : {"0A", "0L", "0P", "26", "2B", "3D", "3F", "42", "44", "CV", "HV"})
    if (group == definition) return Trouble::definition;
  return Trouble::transient;
}

}  // namespace conveyor
