#include "examine/suspects.hpp"

#include <gtest/gtest.h>

#include "examine/warning.hpp"

namespace conveyor {
namespace {

PlanNode reader(Reads reads, Place place, int parent = 0) {
  PlanNode node;
  node.label = reads == Reads::chosen ? "Index Scan" : "Seq Scan";
  node.relation = "pg_temp.price";
  node.advice = "CREATE INDEX ON pg_temp.price (sku)";
  node.parent = parent;
  node.place = place;
  node.reads = reads;
  return node;
}

std::vector<Suspect> suspects(const std::vector<PlanNode>& nodes, const std::vector<NodeWork>& work, double rows,
                              double milliseconds = 0) {
  const Statement statement{"", 1, nodes, work};
  return find_suspects({&statement, 1}, rows, milliseconds);
}

TEST(FindSuspects, NamesARepeatedScanThatReadsEverything) {
  const auto found =
      suspects({{}, reader(Reads::everything, Place::subselect)}, {{1, 10000}, {10000, 10000, 9.999e7}}, 10000);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0].per_row);
  EXPECT_EQ(found[0].read_per_row, 10000);
  EXPECT_EQ(found[0].relation, "pg_temp.price");
}

TEST(FindSuspects, LeavesAScanOfASmallTableAlone) {
  EXPECT_TRUE(suspects({{}, reader(Reads::everything, Place::repeated)}, {{1, 1e5}, {1e5, 1e5, 99e5}}, 1e5).empty());
}

TEST(FindSuspects, LeavesABatchOfFewRowsAlone) {
  EXPECT_TRUE(suspects({{}, reader(Reads::everything, Place::repeated)}, {{1, 5}, {5, 5, 5e3}}, 5).empty());
}

TEST(FindSuspects, LeavesTheRowsThatAnIndexHasChosenAlone) {
  EXPECT_TRUE(suspects({{}, reader(Reads::chosen, Place::repeated)}, {{1, 5e6}, {10000, 5e6, 0}}, 10000).empty());
}

TEST(FindSuspects, NamesAnIndexThatChoosesNearlyEverything) {
  EXPECT_EQ(suspects({{}, reader(Reads::chosen, Place::repeated)}, {{1, 1e4}, {10000, 1e4, 5e7}}, 10000).size(), 1u);
}

TEST(FindSuspects, LeavesTheRangeOfTheSourceAloneWhateverItsFilterLeavesOfIt) {
  EXPECT_TRUE(suspects({reader(Reads::chosen, Place::member, -1)}, {{1, 1000, 2e6}}, 1000).empty());
}

TEST(FindSuspects, NamesABigTableThatEachBatchReads) {
  const auto found = suspects({{}, reader(Reads::everything, Place::inner)}, {{1, 1e4}, {1, 5e6}}, 10000);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_FALSE(found[0].per_row);
  EXPECT_TRUE(suspects({{}, reader(Reads::everything, Place::inner)}, {{1, 1000}, {1, 5e5}}, 1000).empty());
}

TEST(FindSuspects, CountsPartitionsTogether) {
  const auto found = suspects({{}, reader(Reads::everything, Place::member), reader(Reads::everything, Place::member)},
                              {{1, 1e4}, {1e4, 1e4, 1.5e6}, {1e4, 1e4, 1.5e6}}, 10000);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NEAR(found[0].read_per_row, 302, 0.1);
}

TEST(FindSuspects, LeavesWhatTakesLittleOfTheTimeAlone) {
  const std::vector<PlanNode> plan = {{}, reader(Reads::everything, Place::subselect)};
  EXPECT_TRUE(suspects(plan, {{1, 1000, 0, 5000}, {1000, 1000, 3e5, 10}}, 1000, 5000).empty());
  EXPECT_EQ(suspects(plan, {{1, 1000, 0, 5000}, {1000, 1000, 3e5, 4000}}, 1000, 5000).size(), 1u);
}

TEST(FindSuspects, CountsComparingInANestedLoopAsTimeOfWhatItRepeats) {
  const std::vector<PlanNode> plan = {{}, reader(Reads::everything, Place::repeated)};
  EXPECT_EQ(suspects(plan, {{1, 1000, 1e7, 5000}, {1000, 1e7, 0, 400}}, 1000, 5000).size(), 1u);
}

TEST(FindSuspects, PutsTheWorstFirst) {
  PlanNode other = reader(Reads::everything, Place::subselect);
  other.relation = "shop.customer";
  const auto found = suspects({{}, reader(Reads::everything, Place::subselect), other},
                              {{1, 1e4}, {1e4, 0, 5e6}, {1e4, 0, 9e6}}, 10000);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].relation, "shop.customer");
}

TEST(SlowestNode, IsTheOneWithTheMostTimeOfItsOwn) {
  PlanNode target = reader(Reads::chosen, Place::member);
  target.relation = "shop.customer";
  const std::vector<PlanNode> plan = {{}, target, reader(Reads::chosen, Place::subselect, 1)};
  const std::vector<NodeWork> work = {{1, 1, 0, 1000}, {1, 1, 0, 900}, {1, 1, 0, 600}};
  const Statement statement{"", 1, plan, work};
  EXPECT_EQ(slowest_node({&statement, 1}).relation, "pg_temp.price");
}

TEST(Warning, NamesCauseNodeRelationPlaceAndRemedy) {
  Suspect suspect;
  suspect.label = "Seq Scan";
  suspect.relation = "pg_temp.price";
  suspect.advice = "CREATE INDEX ON pg_temp.price (sku)";
  suspect.statement = "PL/pgSQL function reprice(bigint,bigint) line 7 at SQL statement";
  suspect.place = Place::subselect;
  suspect.per_row = true;
  suspect.read_per_row = 10000;
  EXPECT_EQ(warning_of({}, {suspect}, {}),
            "time per row grows with the size of pg_temp.price: Seq Scan on pg_temp.price in a sub-select reads 10000 "
            "rows for each row "
            "of a batch, in PL/pgSQL function reprice(bigint,bigint) line 7 at SQL statement; CREATE INDEX ON "
            "pg_temp.price (sku)");
  EXPECT_EQ(warning_of({Growth::size, 1.92, 4, 500, 10000}, {suspect}, {}).substr(0, 51),
            "time per row grows with the batch size (n^1.9): Seq");
}

TEST(Warning, SpeaksOfBatchesWhereTheTableIsReadOnceABatch) {
  Suspect suspect;
  suspect.label = "Seq Scan";
  suspect.relation = "shop.customer";
  suspect.read = 5e6;
  EXPECT_EQ(warning_of({}, {suspect}, {}),
            "time per batch grows with the size of shop.customer: Seq Scan on shop.customer reads 5000000 rows in each "
            "batch");
}

TEST(Warning, NamesTheSlowestNodeWhereNoneIsSuspect) {
  Suspect slowest;
  slowest.label = "Index Scan";
  slowest.relation = "shop.customer";
  EXPECT_EQ(
      warning_of({Growth::position, 0, 2.5, 1000, 9000}, {}, slowest),
      "time per row grows with the position (2.5 times since row 1000): most of it in Index Scan on shop.customer");
}

TEST(Warning, SaysNothingOfALittleGrowthThatNoNodeExplains) {
  EXPECT_EQ(warning_of({Growth::position, 0, 1.7, 0, 9000}, {}, {}), "");
  EXPECT_EQ(warning_of({}, {}, {}), "");
}

}  // namespace
}  // namespace conveyor
