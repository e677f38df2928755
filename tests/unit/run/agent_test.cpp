#include "run/agent.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace conveyor {
namespace {

TEST(Agent, TellsDatabasesOfOneNameApart) {
  const Agent agent({"a", "host", "0", 1, {}}, {"host=one dbname=shop", "host=two dbname=shop", "dbname=other"}, 4,
                    1 << 20);
  const auto status = agent.status();
  ASSERT_EQ(status.size(), 3u);
  EXPECT_EQ(status[0].name, "shop");
  EXPECT_EQ(status[1].name, "shop#2");
  EXPECT_EQ(status[2].name, "other");
}

TEST(Agent, HasNoAgeForAHeartbeatThatWasNeverAnswered) {
  const Agent agent({"a", "host", "0", 1, {}}, {"dbname=shop"}, 4, 1 << 20);
  EXPECT_TRUE(std::isinf(agent.status().front().since_sync));
}

}  // namespace
}  // namespace conveyor
