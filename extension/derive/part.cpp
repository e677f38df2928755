#include "derive/part.hpp"

#include <algorithm>
#include <array>

namespace conveyor {

namespace {

constexpr int kFar = 1 << 20;
constexpr int kLoose = 8;  // a condition that is no equality counts as so many

// Those of `within` that are connected with `start`, conditions and needs counting only where all their nodes are
// there.
NodeSet connected_with(const PartProblem& problem, NodeSet start, const NodeSet& within) {
  NodeSet reached = start & within;
  for (bool grows = true; grows;) {
    NodeSet before = reached;
    for (const Link& link : problem.links)
      if ((link.nodes & reached).any() && (link.nodes & ~within).none()) reached |= link.nodes;
    for (int i = 0; i < problem.nodes; ++i) {
      const NodeSet& needs = problem.needs[i];
      if (!within[i] || needs.none() || (needs & ~within).any()) continue;
      if (reached[i] || (needs & reached).any()) reached |= needs, reached.set(i);
    }
    grows = reached != before;
  }
  return reached;
}

// Leaves out nodes that lack what they need.
NodeSet complete(const PartProblem& problem, NodeSet nodes) {
  for (bool shrinks = true; shrinks;) {
    shrinks = false;
    for (int i = 0; i < problem.nodes; ++i) {
      if (!nodes[i] || (problem.needs[i] & ~nodes).none()) continue;
      nodes.reset(i);
      shrinks = true;
    }
  }
  return nodes;
}

using Distances = std::array<int, kMaxNodes>;

Distances distances(const PartProblem& problem, const NodeSet& from) {
  Distances distance;
  for (int i = 0; i < kMaxNodes; ++i) distance[i] = from[i] ? 0 : kFar;
  auto relax = [&](const NodeSet& nodes, int step) {
    int least = kFar;
    for (int i = 0; i < problem.nodes; ++i)
      if (nodes[i]) least = std::min(least, distance[i]);
    bool closer = false;
    for (int i = 0; i < problem.nodes; ++i)
      if (nodes[i] && least + step < distance[i]) distance[i] = least + step, closer = true;
    return closer;
  };
  for (bool again = true; again;) {
    again = false;
    for (const Link& link : problem.links) {
      if ((link.nodes & ~problem.usable).any()) continue;
      int step = link.equality ? static_cast<int>(link.nodes.count()) - 1 : kLoose;
      again = relax(link.nodes, step) || again;
    }
    for (int i = 0; i < problem.nodes; ++i) {
      if (!problem.usable[i] || problem.needs[i].none()) continue;
      NodeSet both = problem.needs[i];
      both.set(i);
      again = relax(both, 1) || again;
    }
  }
  return distance;
}

}  // namespace

Part smallest_part(const PartProblem& problem) {
  Part part;
  NodeSet followed;
  followed.set(problem.followed);
  const NodeSet all = complete(problem, problem.usable);
  if ((problem.wanted & ~all).any() || !all[problem.followed]) return part;
  const NodeSet around = connected_with(problem, followed, all);
  part.connected = problem.wanted.none() || (around & problem.wanted).any();
  if (!part.connected) return part;

  const NodeSet near = around & problem.wanted;
  part.nodes = around;
  const Distances from_followed = distances(problem, followed);
  const Distances from_wanted = distances(problem, near);
  std::array<int, kMaxNodes> order;
  for (int i = 0; i < problem.nodes; ++i) order[i] = i;
  // The farthest go first, so that what is left is a short way.
  std::stable_sort(order.begin(), order.begin() + problem.nodes, [&](int a, int b) {
    int first = from_followed[a] + from_wanted[a];
    int second = from_followed[b] + from_wanted[b];
    return first != second ? first > second : a > b;
  });
  for (bool shrinks = true; shrinks;) {
    shrinks = false;
    for (int n = 0; n < problem.nodes; ++n) {
      int i = order[n];
      if (!part.nodes[i] || i == problem.followed || problem.wanted[i]) continue;
      NodeSet rest = part.nodes;
      rest.reset(i);
      rest = connected_with(problem, followed, complete(problem, rest));
      if ((near & ~rest).any()) continue;
      part.nodes = rest;
      shrinks = true;
    }
  }
  // What is wanted and stands in a join without a condition.
  NodeSet apart = problem.wanted & ~part.nodes;
  for (bool grows = true; grows;) {
    NodeSet before = apart;
    for (int i = 0; i < problem.nodes; ++i)
      if (apart[i]) apart |= problem.needs[i];
    grows = apart != before;
  }
  part.nodes |= apart;
  return part;
}

}  // namespace conveyor
