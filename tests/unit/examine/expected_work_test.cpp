#include "examine/expected_work.hpp"

#include <gtest/gtest.h>

namespace conveyor {
namespace {

PlanNode node(int parent, Place place, double rows, double read = 0) {
  PlanNode node;
  node.parent = parent;
  node.place = place;
  node.expected_rows = rows;
  node.expected_read = read;
  return node;
}

PlanNode source(int parent, Place place, double rows) {
  PlanNode n = node(parent, place, rows, rows);
  n.source = true;
  return n;
}

TEST(ExpectedWork, RepeatsTheInnerSideOfANestedLoopForEachRowOfTheBatchWhateverThePlannerBelieves) {
  const std::vector<PlanNode> plan = {node(-1, Place::member, 1), source(0, Place::outer, 1),
                                      node(0, Place::repeated, 1, 5000)};
  const std::vector<NodeWork> work = expected_work(plan, 10000);
  EXPECT_EQ(work[2].loops, 10000);
  EXPECT_EQ(work[2].rows + work[2].filtered, 10000 * 5000.0);
}

TEST(ExpectedWork, IsLessThanThePlannerBelievesWhereTheBatchIsSmaller) {
  const std::vector<PlanNode> plan = {node(-1, Place::member, 1000), source(0, Place::outer, 1000),
                                      node(0, Place::repeated, 1, 50)};
  EXPECT_EQ(expected_work(plan, 10)[2].loops, 10);
}

TEST(ExpectedWork, RepeatsASubselectForEachRowOfTheBatchButNotAnInitplan) {
  const std::vector<PlanNode> plan = {node(-1, Place::member, 1), source(0, Place::member, 1),
                                      node(1, Place::subselect, 1, 300), node(1, Place::once, 1, 300)};
  const std::vector<NodeWork> work = expected_work(plan, 1000);
  EXPECT_EQ(work[2].loops, 1000);
  EXPECT_EQ(work[3].loops, 1);
}

TEST(ExpectedWork, ReadsTheInputOfAMaterializeOnceAndGivesItsRowsEachTime) {
  PlanNode materialize = node(0, Place::repeated, 700, 700);
  materialize.keeps = true;
  const std::vector<PlanNode> plan = {node(-1, Place::member, 1), source(0, Place::outer, 1), materialize,
                                      node(2, Place::member, 700, 700)};
  const std::vector<NodeWork> work = expected_work(plan, 1000);
  EXPECT_EQ(work[2].rows, 1000 * 700.0);
  EXPECT_EQ(work[3].loops, 1);
}

TEST(ExpectedWork, CountsACteAsTheBatchThatItHolds) {
  // WITH batch AS MATERIALIZED (…) SELECT …, (SELECT count(*) FROM batch b WHERE b.x = a.x) FROM batch a
  PlanNode outer = node(0, Place::member, 1, 1);
  outer.input = 1;
  PlanNode inner = node(2, Place::subselect, 1, 1);
  inner.input = 1;
  const std::vector<PlanNode> plan = {node(-1, Place::member, 1), source(0, Place::once, 1), outer, inner};
  const std::vector<NodeWork> work = expected_work(plan, 2000);
  EXPECT_EQ(work[3].loops, 2000);
  EXPECT_EQ(work[3].rows + work[3].filtered, 2000 * 2000.0);
}

TEST(ExpectedWork, TakesTheSmallestReadOfTheSourceForTheBatch) {
  const std::vector<PlanNode> plan = {node(-1, Place::member, 10), source(0, Place::outer, 10),
                                      source(0, Place::inner, 1e6)};
  EXPECT_EQ(expected_work(plan, 20)[1].rows, 20);
}

TEST(ExpectedWork, ReadsTheInnerSideOfAHashJoinOnce) {
  const std::vector<PlanNode> plan = {node(-1, Place::member, 1), source(0, Place::outer, 1),
                                      node(0, Place::inner, 1e6, 1e6)};
  EXPECT_EQ(expected_work(plan, 10000)[2].rows, 1e6);
}

}  // namespace
}  // namespace conveyor
