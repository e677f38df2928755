#include "serve/server.hpp"

#include <gtest/gtest.h>

#include "support/fake_server.hpp"

namespace conveyor {
namespace {

TEST(Server, RefusesAPortThatAnotherAgentServesOn) {
  int port = 0;
  {
    // A port that is free now.
    const test::FakeServer passing([](const test::Received&) { return test::Reply{}; });
    port = passing.port();
  }
  const Agent agent({"a", "host", "0", 1, {}}, {}, 4, 1 << 20);
  Server first(agent), second(agent);
  ASSERT_TRUE(first.listen("127.0.0.1", port));
  EXPECT_FALSE(second.listen("127.0.0.1", port));
}

}  // namespace
}  // namespace conveyor
