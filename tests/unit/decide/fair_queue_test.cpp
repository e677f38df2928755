#include "decide/fair_queue.hpp"

#include <gtest/gtest.h>

#include <string>

namespace conveyor {
namespace {

TEST(FairQueue, OwnersTakeTurnsHoweverMuchOneOfThemHasWaiting) {
  FairQueue<std::string> queue;
  for (int i = 1; i <= 5; ++i) queue.push("big", "big" + std::to_string(i));
  queue.push("small", "small1");
  queue.push("other", "other1");
  std::string order;
  while (!queue.empty()) order += queue.pop() + ' ';
  EXPECT_EQ(order, "big1 small1 other1 big2 big3 big4 big5 ");
}

TEST(FairQueue, WhatIsPutInFrontComesBeforeItsOwnersRestOnly) {
  FairQueue<int> queue;
  queue.push("a", 1);
  queue.push("b", 2);
  queue.push_front("b", 3);
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), 3);
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace conveyor
