#include "derive/part.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace conveyor {
namespace {

NodeSet set(std::initializer_list<int> nodes) {
  NodeSet result;
  for (int node : nodes) result.set(node);
  return result;
}

// A graph of `nodes` nodes, 0 followed; links are equalities unless said otherwise.
struct Graph {
  explicit Graph(int nodes) : count(nodes), needs(nodes) {
    for (int i = 0; i < nodes; ++i) usable.set(i);
  }
  Graph& link(std::initializer_list<int> nodes, bool equality = true) {
    links.push_back({set(nodes), equality});
    return *this;
  }
  Part to(std::initializer_list<int> wanted) const {
    return smallest_part({count, usable, needs, links, 0, set(wanted)});
  }
  int count;
  NodeSet usable;
  std::vector<NodeSet> needs;
  std::vector<Link> links;
};

TEST(SmallestPart, IsTheFollowedNodeAloneWhereThatIsAllThatIsWanted) {
  const Part part = Graph(3).link({0, 1}).link({1, 2}).to({0});
  EXPECT_TRUE(part.connected);
  EXPECT_EQ(part.nodes, set({0}));
}

TEST(SmallestPart, TakesAChainAndLeavesOutWhatHangsOnIt) {
  EXPECT_EQ(Graph(5).link({0, 1}).link({1, 2}).link({2, 3}).link({1, 4}).to({3}).nodes, set({0, 1, 2, 3}));
}

TEST(SmallestPart, TakesTheShorterOfTwoWays) {
  EXPECT_EQ(Graph(5).link({0, 1}).link({1, 2}).link({2, 4}).link({0, 3}).link({3, 4}).to({4}).nodes, set({0, 3, 4}));
}

TEST(SmallestPart, PrefersEqualitiesToAShorterWayWithoutOne) {
  EXPECT_EQ(Graph(4).link({0, 3}, false).link({3, 2}).link({0, 1}).link({1, 2}).to({2}).nodes, set({0, 1, 2}));
}

TEST(SmallestPart, IsNotConnectedWithoutALink) { EXPECT_FALSE(Graph(3).link({1, 2}).to({2}).connected); }

TEST(SmallestPart, DoesNotGoThroughWhatIsNotUsable) {
  Graph graph(3);
  graph.link({0, 1}).link({1, 2});
  graph.usable.reset(1);
  EXPECT_FALSE(graph.to({2}).connected);
}

TEST(SmallestPart, TakesAConditionOverSeveralNodesOnlyWithAllOfThem) {
  EXPECT_EQ(Graph(4).link({0, 1, 2}).link({2, 3}).to({3}).nodes, set({0, 1, 2, 3}));
}

TEST(SmallestPart, BringsAlongWhatANodeNeeds) {
  Graph graph(4);
  graph.link({0, 1});
  graph.needs[1] = set({2});  // a function in FROM that is called with a column of 2
  graph.link({2, 3});
  EXPECT_EQ(graph.to({3}).nodes, set({0, 1, 2, 3}));
}

TEST(SmallestPart, StandsBesideWhatIsWantedInAJoinWithoutACondition) {
  const Part part = Graph(4).link({0, 1}).link({2, 3}).to({0, 3});
  EXPECT_TRUE(part.connected);
  EXPECT_EQ(part.nodes, set({0, 3}));
}

TEST(SmallestPart, IsConnectedWhereNothingIsWanted) {
  const Part part = Graph(2).link({0, 1}).to({});
  EXPECT_TRUE(part.connected);
  EXPECT_EQ(part.nodes, set({0}));
}

}  // namespace
}  // namespace conveyor
