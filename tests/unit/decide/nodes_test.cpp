#include "decide/nodes.hpp"

#include <gtest/gtest.h>

#include <set>

namespace conveyor {
namespace {

using namespace std::chrono_literals;

const Time now = Time{} + 1h;

TEST(Nodes, AreUsedInTurn) {
  Nodes nodes({"a", "b", "c"});
  std::multiset<std::string> picked;
  for (int i = 0; i < 6; ++i) picked.insert(*nodes.pick());
  EXPECT_EQ(picked, (std::multiset<std::string>{"a", "a", "b", "b", "c", "c"}));
}

TEST(Nodes, OneThatIsDownGetsNothingUntilItIsBack) {
  Nodes nodes({"a", "b"});
  EXPECT_TRUE(nodes.failed("a", "connection refused at a", now));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(nodes.pick(), "b");
  EXPECT_NE(nodes.condition(now).find("1 of 2 nodes down"), std::string::npos);
  nodes.up("a");
  EXPECT_EQ(nodes.condition(now), "");
  std::set<std::string> picked{*nodes.pick(), *nodes.pick()};
  EXPECT_EQ(picked.size(), 2u);
}

TEST(Nodes, ManyFailuresAtOnceAskForOneProbe) {
  Nodes nodes({"a"});
  EXPECT_TRUE(nodes.failed("a", "gone", now));
  EXPECT_FALSE(nodes.failed("a", "gone", now));
  EXPECT_FALSE(nodes.failed("a", "gone", now));
  EXPECT_EQ(nodes.pick(), std::nullopt);
}

TEST(Nodes, SayWhyAndWhenTheyAreLookedAtAgain) {
  Nodes nodes({"http://127.0.0.1:9200"});
  Duration wait = *nodes.failed("http://127.0.0.1:9200", "connection refused at 127.0.0.1:9200", now);
  for (int i = 0; i < 5; ++i)
    wait = *nodes.probe_failed("http://127.0.0.1:9200", "connection refused at 127.0.0.1:9200", now);
  EXPECT_GE(wait, 1s);
  const std::string condition = nodes.condition(now);
  EXPECT_EQ(condition.find("connection refused at 127.0.0.1:9200, next attempt in "), 0u) << condition;
  EXPECT_EQ(nodes.condition(now + wait), "connection refused at 127.0.0.1:9200, being tried again");
}

TEST(Nodes, AnAddressThatIsNoLongerConfiguredIsNotProbed) {
  Nodes nodes({"a"});
  nodes.failed("a", "gone", now);
  nodes.assign({"b"});
  EXPECT_FALSE(nodes.probe_failed("a", "gone", now));
  EXPECT_EQ(nodes.pick(), "b");
}

}  // namespace
}  // namespace conveyor
