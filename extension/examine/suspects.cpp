#include "examine/suspects.hpp"

#include <algorithm>

namespace conveyor {

namespace {

// Time of a node without its inputs'.
std::vector<double> own_time(const Statement& statement) {
  std::vector<double> own(statement.nodes.size());
  for (size_t i = 0; i < own.size(); ++i) {
    own[i] += statement.work[i].milliseconds;
    const int parent = statement.nodes[i].parent;
    if (parent >= 0) own[parent] -= statement.work[i].milliseconds;
  }
  for (double& milliseconds : own) milliseconds = std::max(milliseconds, 0.0);
  return own;
}

bool repeats(Place place) { return place == Place::repeated || place == Place::subselect; }

// The node at which the repetition begins that this one is part of; itself where there is none.
size_t repetition(const Statement& statement, size_t i) {
  for (size_t above = i; statement.nodes[above].place != Place::once; above = statement.nodes[above].parent) {
    if (repeats(statement.nodes[above].place)) return above;
    if (statement.nodes[above].parent < 0) break;
  }
  return i;
}

Suspect suspect_of(const Statement& statement, const std::vector<double>& own, size_t i) {
  const PlanNode& node = statement.nodes[i];
  const PlanNode& repeated = statement.nodes[repetition(statement, i)];
  Suspect suspect;
  suspect.label = node.label;
  suspect.relation = node.relation;
  suspect.advice = node.advice;
  suspect.statement = statement.place;
  suspect.place = repeated.place;
  suspect.milliseconds = own[i];
  // What a nested loop throws away, it has been given by its inner side: comparing belongs to it.
  if (repeated.place == Place::repeated && repeated.parent >= 0) suspect.milliseconds += own[repeated.parent];
  return suspect;
}

// What is kept is read once more than it is given; that is not worth speaking of.
bool is_kept(const Statement& statement, const PlanNode& node) {
  return node.parent >= 0 && statement.nodes[node.parent].keeps &&
         statement.nodes[node.parent].relation == node.relation;
}

bool same_thing(const Suspect& a, const Suspect& b) {
  return a.relation == b.relation && a.label == b.label && a.statement == b.statement && a.per_row == b.per_row;
}

}  // namespace

std::vector<Suspect> find_suspects(std::span<const Statement> statements, double batch_rows, double milliseconds,
                                   const SuspectLimits& limits) {
  const double batch = std::max(batch_rows, 1.0);
  std::vector<Suspect> suspects;
  for (const Statement& statement : statements) {
    const std::vector<double> own = own_time(statement);
    for (size_t i = 0; i < statement.nodes.size(); ++i) {
      const PlanNode& node = statement.nodes[i];
      const NodeWork& work = statement.work[i];
      if (node.reads == Reads::nothing || node.relation.empty() || is_kept(statement, node)) continue;
      Suspect suspect = suspect_of(statement, own, i);
      suspect.per_row = work.loops >= std::max(2.0, batch / 100);
      // What an index has chosen and nobody threw away was wanted; a range of the source is gone through whatever its
      // filter leaves of it.
      if (node.reads == Reads::chosen && !suspect.per_row) continue;
      suspect.read = work.filtered + (node.reads == Reads::everything ? work.rows : 0);
      // Of partitions, together.
      const auto other =
          std::find_if(suspects.begin(), suspects.end(), [&](const Suspect& s) { return same_thing(s, suspect); });
      if (other == suspects.end()) {
        suspects.push_back(suspect);
      } else {
        other->read += suspect.read;
        other->milliseconds += suspect.milliseconds;
        if (other->advice.empty()) other->advice = suspect.advice;
      }
    }
  }
  std::erase_if(suspects, [&](Suspect& suspect) {
    suspect.read_per_row = suspect.read / batch;
    return suspect.read_per_row < limits.read_per_row ||
           suspect.read < (suspect.per_row ? limits.read_when_repeated : limits.read_when_per_batch) ||
           (milliseconds > 0 && suspect.milliseconds < limits.share * milliseconds);
  });
  std::stable_sort(suspects.begin(), suspects.end(), [](const Suspect& a, const Suspect& b) {
    return a.milliseconds != b.milliseconds ? a.milliseconds > b.milliseconds : a.read > b.read;
  });
  return suspects;
}

Suspect slowest_node(std::span<const Statement> statements) {
  Suspect slowest;
  for (const Statement& statement : statements) {
    const std::vector<double> own = own_time(statement);
    for (size_t i = 0; i < statement.nodes.size(); ++i) {
      if (statement.nodes[i].relation.empty()) continue;
      const Suspect suspect = suspect_of(statement, own, i);
      if (suspect.milliseconds > slowest.milliseconds) slowest = suspect;
    }
  }
  return slowest;
}

}  // namespace conveyor
