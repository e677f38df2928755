// The smallest connected part of a join graph that has the followed node and all that is wanted. Pure: numbers only.
#pragma once

#include <bitset>
#include <span>

namespace conveyor {

constexpr int kMaxNodes = 256;

using NodeSet = std::bitset<kMaxNodes>;

// Nodes that a condition brings together.
struct Link {
  NodeSet nodes;
  bool equality = false;  // an index may serve
};

struct PartProblem {
  int nodes = 0;
  NodeSet usable;
  std::span<const NodeSet> needs;  // by node: those that it cannot stand without, and is connected with
  std::span<const Link> links;
  int followed = 0;
  NodeSet wanted;
};

struct Part {
  bool connected = false;  // the followed node with at least one that is wanted
  NodeSet nodes;           // all that is wanted among them; what is connected with nothing stands beside
};

Part smallest_part(const PartProblem& problem);

}  // namespace conveyor
