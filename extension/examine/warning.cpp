#include "examine/warning.hpp"

#include <cstdio>

namespace conveyor {

namespace {

// Growth that no node explains may be the server's: then it must be larger.
constexpr double kUnexplainedFactor = 2;

std::string number(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string count(double value) { return number("%.0f", value); }

std::string cause_of(const Growth& growth, const Suspect* suspect) {
  switch (growth.kind) {
    case Growth::size:
      return "time per row grows with the batch size (n^" + number("%.1f", growth.exponent) + ")";
    case Growth::position:
      return "time per row grows with the position (" + number("%.1f", growth.factor) + " times since row " +
             count(growth.from) + ")";
    case Growth::none:
      break;
  }
  return std::string(suspect->per_row ? "time per row" : "time per batch") + " grows with the size of " +
         std::string(suspect->relation);
}

std::string node_of(const Suspect& suspect) {
  std::string node = suspect.place == Place::repeated ? "Nested Loop over " : "";
  node.append(suspect.label).append(" on ").append(suspect.relation);
  if (suspect.place == Place::subselect) node += " in a sub-select";
  return node;
}

std::string where(const Suspect& suspect) {
  return suspect.statement.empty() ? "" : ", in " + std::string(suspect.statement);
}

}  // namespace

std::string warning_of(const Growth& growth, const std::vector<Suspect>& suspects, const Suspect& slowest) {
  if (!suspects.empty()) {
    const Suspect& worst = suspects.front();
    std::string text = cause_of(growth, &worst) + ": " + node_of(worst) + " reads ";
    text += worst.per_row ? count(worst.read_per_row) + " rows for each row of a batch"
                          : count(worst.read) + " rows in each batch";
    text += where(worst);
    if (!worst.advice.empty()) text += "; " + std::string(worst.advice);
    return text;
  }
  if (growth.kind == Growth::none || growth.factor < kUnexplainedFactor) return "";
  std::string text = cause_of(growth, nullptr);
  if (!slowest.label.empty()) text += ": most of it in " + node_of(slowest) + where(slowest);
  return text;
}

}  // namespace conveyor
