#include "run/work.hpp"

#include <gmock/gmock.h>

#include "run/fakes.hpp"

namespace conveyor {
namespace {

using namespace fakes;
using testing::ElementsAre;

TEST(DrainWindow, FetchesAtTheWindowsSnapshotAndMovesTheCursorThere) {
  Bench bench;
  bench.store.view = {{"a", "{}"}};
  bench.store.windows = {Frame().head(50, "50:50:").key("a").key("b").end()};
  const Drained drained = drain_window(bench.lane, 1, true);
  EXPECT_EQ(drained.keys, 2);
  EXPECT_THAT(bench.events.all(), ElementsAre("fetch_keys 2 at 50:50:", "fence 100 b", "send a -b", "advance 50:50:"));
  EXPECT_EQ(bench.lane.cursor(), "50:50:");
}

TEST(DrainWindow, WritesNothingWhenNothingConcernsTheDelivery) {
  Bench bench;
  EXPECT_FALSE(drain_window(bench.lane, 1, false).moved);
  EXPECT_THAT(bench.events.all(), ElementsAre());
}

TEST(DrainWindow, MovesTheCursorOverWhatConcernsOthersWhenItIsToldTo) {
  Bench bench;
  EXPECT_TRUE(drain_window(bench.lane, 1, true).moved);
  EXPECT_THAT(bench.events.all(), ElementsAre("advance 100:100:"));
}

TEST(DrainWindow, MarksTheDeliveryStaleAtASignalAndMovesNothing) {
  Bench bench;
  bench.store.windows = {Frame().head(50, "50:50:").key("a").signal('t', "shop.orders").end()};
  EXPECT_TRUE(drain_window(bench.lane, 1, true).stale);
  EXPECT_THAT(bench.events.all(), ElementsAre("mark_stale a relation was truncated: shop.orders"));
}

TEST(DrainWindow, RecordsNothingOfAWindowThatWasCutOff) {
  Bench bench;
  bench.store.windows = {Frame().head(50, "50:50:").key("a").cut()};
  EXPECT_THROW(drain_window(bench.lane, 1, true), std::runtime_error);
  EXPECT_FALSE(bench.events.has("advance 50:50:"));
}

TEST(DrainWindow, RecordsDeadLettersInTheCheckpoint) {
  Bench bench;
  bench.store.view = {{"a", "{}"}, {"b", "{}"}};
  bench.store.poisoned = {"b"};
  bench.store.windows = {Frame().head(50, "50:50:").key("a").key("b").end()};
  drain_window(bench.lane, 1, true);
  const Checkpoint checkpoint = bench.store.checkpoint();
  EXPECT_EQ(checkpoint.counts.sent, 1);
  ASSERT_EQ(checkpoint.dead.size(), 1u);
  EXPECT_EQ(checkpoint.dead[0].key, "b");
}

TEST(FillRange, FinishesTheRangeWithWhatWasInIt) {
  Bench bench;
  bench.store.view = {{"a", "{}"}, {"b", "{}"}};
  EXPECT_EQ(fill_range(bench.lane, 1, {3, {}, {}, "s"}, [] {}), "finished");
  EXPECT_THAT(bench.events.all(), ElementsAre("fetch_range at s", "fence 100", "send a b", "range_finish 3 keys 2"));
}

TEST(Sweep, DeletesWhatTheTargetHasAndTheViewHasNot) {
  Bench bench;
  bench.store.view = {{"a", "{}"}};
  bench.target.ids = {"a", "left"};
  sweep(bench.lane, {1, "recheck", "sweep", "open", "s"});
  EXPECT_THAT(bench.events.all(),
              ElementsAre("fetch_keys 1 at s", "fence 100 left", "send -left", "advance ", "sweep_finish"));
}

TEST(DeliverRequested, GoesPageByPageAndEndsTheRequest) {
  Bench bench;
  bench.store.view = {{"a", "{}"}};
  std::int64_t after = 0;
  const Request request{1, "keys", "fill", "open", "s"};
  EXPECT_TRUE(deliver_requested(bench.lane, request, after));
  EXPECT_FALSE(deliver_requested(bench.lane, request, after));
  EXPECT_THAT(bench.events.all(), ElementsAre("fetch_keys 2 at s", "fence 100 b", "send a -b", "request_keys_done 2",
                                              "request_keys_done 2"));
}

TEST(DeliverRequested, AsksForSeveralPagesBetweenTwoCheckpointsButNotWithARate) {
  Bench bench;
  std::int64_t after = 0;
  const Request request{1, "keys", "fill", "open", "s"};
  deliver_requested(bench.lane, request, after);
  EXPECT_EQ(bench.store.asked_keys, 8 * bench.lane.limits().page_keys);
  DeliverySpec spec;
  spec.rate = 100;
  bench.lane.configure(spec, Clock::now());
  deliver_requested(bench.lane, request, after);
  EXPECT_EQ(bench.store.asked_keys, 400) << "what the rate lets through in four seconds";
}

TEST(SettleOrphans, ReadsAndSendsThemAgainBeforeItForgetsThem) {
  Bench bench;
  bench.store.orphans = {"gone"};
  EXPECT_TRUE(settle_orphans(bench.lane));
  EXPECT_FALSE(settle_orphans(bench.lane));
  EXPECT_LT(bench.events.position("send -gone"), bench.events.position("orphans_settled 1"));
}

TEST(CompareRange, SendsOnlyWhatTheTargetLacks) {
  Bench bench;
  bench.store.view = {{"a", "{}"}, {"b", "{}"}, {"c", "{}"}};
  bench.target.present = {"a", "c"};
  EXPECT_EQ(compare_range(bench.lane, 7, {1, {}, {}, "s"}), "finished");
  EXPECT_THAT(bench.events.all(),
              ElementsAre("fetch_keys 1 at s", "fence 100", "send b", "advance ", "range_finish 1 keys 3"));
  EXPECT_EQ(bench.lane.cursor(), "1:1:") << "a checkpoint moves no cursor";
}

TEST(CompareRange, HoldsWhenTheTargetTakesADocumentAndDoesNotHaveIt) {
  Bench bench;
  bench.store.view = {{"a", "{}"}, {"b", "{}"}};
  bench.target.present = {"a"};
  bench.target.drops = true;
  EXPECT_THROW(compare_range(bench.lane, 7, {1, {}, {}, "s"}), Held);
  EXPECT_FALSE(bench.events.has("range_finish 1 keys 2"));
}

TEST(CompareRange, LeavesToTheDeadLettersWhatTheTargetRefuses) {
  Bench bench;
  bench.store.view = {{"a", "{}"}};
  bench.target.drops = true;
  bench.target.decide = [](const Body& body) { return FakeTarget::all(body, Outcome::dead_letter); };
  EXPECT_EQ(compare_range(bench.lane, 7, {1, {}, {}, "s"}), "finished");
  EXPECT_EQ(bench.events.count("advance "), 1) << "recorded before the range is finished";
}

}  // namespace
}  // namespace conveyor
