#include "run/runner.hpp"

#include <gmock/gmock.h>

#include "run/fakes.hpp"

namespace conveyor {
namespace {

using namespace fakes;

DeliverySpec spec(const std::string& state = "live") {
  DeliverySpec made;
  made.delivery = "d";
  made.lease = 1;
  made.state = state;
  made.cursor = "1:1:";
  made.retry_delay = 1ms;
  return made;
}

// A runner with a store and a target that outlive it.
struct Stage {
  Events events;
  FakeStore* store = nullptr;
  FakeTarget* target = nullptr;
  std::unique_ptr<Runner> runner;

  explicit Stage(DeliverySpec start, const std::function<void(FakeStore&, FakeTarget&)>& arrange = {}) {
    auto fake = std::make_unique<FakeTarget>(events);
    target = fake.get();
    auto place = std::make_shared<SharedTarget>(std::move(fake), 1u << 20);
    runner = std::make_unique<Runner>(
        std::move(start),
        [&](std::stop_token) {
          auto made = std::make_unique<FakeStore>(events);
          store = made.get();
          if (arrange) arrange(*store, *target);
          return made;
        },
        place, "origin");
  }
  void add_window(const std::string& until, const std::string& key) {
    {
      std::lock_guard lock(store->mutex);
      store->windows.push_back(Frame().head(50, until).key(key).end());
    }
    runner->changes(Clock::now());
  }
};

TEST(Runner, PreparesTheDestinationAndDrainsWhatAPollFound) {
  Stage stage(spec());
  EXPECT_TRUE(stage.events.wait_for("prepare"));
  stage.add_window("200:200:", "a");
  EXPECT_TRUE(stage.events.wait_for("advance 200:200:"));
}

TEST(Runner, TriesAgainAfterTheDatabaseWasGone) {
  Stage stage(spec(), [](FakeStore& store, FakeTarget&) { store.fail_once("window_keys", "57P01"); });
  stage.add_window("200:200:", "a");
  EXPECT_TRUE(stage.events.wait_for("advance 200:200:"));
  EXPECT_FALSE(stage.runner->lease_lost());
}

TEST(Runner, DropsEverythingWhenTheLeaseIsLost) {
  Stage stage(spec(), [](FakeStore& store, FakeTarget&) { store.fail_once("advance", "CV001"); });
  stage.add_window("100:100:", "b");
  for (int i = 0; i < 400 && !stage.runner->lease_lost(); ++i) std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(stage.runner->lease_lost());
  stage.add_window("200:200:", "a");
  std::this_thread::sleep_for(50ms);
  EXPECT_FALSE(stage.events.has("send a")) << "worked on under a lost lease";
}

TEST(Runner, HoldsTheDeliveryWhenTheViewIsGone) {
  Stage stage(spec(), [](FakeStore& store, FakeTarget&) { store.fail_once("window_keys", "42P01"); });
  EXPECT_TRUE(stage.events.wait_for("hold 42P01: as the test wants it"));
  stage.add_window("200:200:", "a");
  std::this_thread::sleep_for(50ms);
  EXPECT_FALSE(stage.events.has("advance 200:200:"));
  stage.runner->update(spec());  // resumed
  EXPECT_TRUE(stage.events.wait_for("advance 200:200:"));
}

TEST(Runner, HoldsTheDeliveryWhenTheDestinationIsNotOurs) {
  Stage stage(spec(), [](FakeStore&, FakeTarget& target) {
    target.prepare_failure = Failure{Outcome::hold, "not ours"};
  });
  EXPECT_TRUE(stage.events.wait_for("hold not ours"));
}

TEST(Runner, DoesNothingWhilePausedAndGoesOnAfterwards) {
  Stage stage(spec("paused"));
  stage.add_window("200:200:", "a");
  std::this_thread::sleep_for(50ms);
  EXPECT_TRUE(stage.events.all().empty());
  stage.runner->update(spec());
  EXPECT_TRUE(stage.events.wait_for("advance 200:200:"));
}

TEST(Runner, FillsBesideTheDrainAndRestoresTheIndexAfterwards) {
  DeliverySpec start = spec("backfilling");
  start.requests = {{1, "backfill", "fill", "open", "s", true}};
  Stage stage(start, [](FakeStore& store, FakeTarget&) {
    store.view = {{"a", "{}"}};
    store.ranges = {{1, {}, {}, "s"}};
  });
  EXPECT_TRUE(stage.events.wait_for("range_finish 1 keys 1"));
  EXPECT_TRUE(stage.events.wait_for("finish_fill"));
  EXPECT_TRUE(stage.events.has("prepare to fill"));
  EXPECT_TRUE(stage.events.wait_for(R"(store_index {"name":"index","filling":false})"));
}

TEST(Runner, RestoresAnIndexThatItsPredecessorLeftFilling) {
  DeliverySpec start = spec();
  start.index = R"({"name":"index","filling":true})";
  Stage stage(start, [](FakeStore&, FakeTarget& target) { target.keep_state = true; });
  EXPECT_TRUE(stage.events.wait_for("finish_fill"));
}

TEST(Runner, WorksOnARangeAgainThatCameToNothing) {
  DeliverySpec start = spec("backfilling");
  start.requests = {{1, "backfill", "fill", "open", "s"}};
  Stage stage(start, [](FakeStore& store, FakeTarget&) {
    store.view = {{"a", "{}"}};
    store.ranges = {{1, {}, {}, "s"}};
    store.fail_once("range_finish", "40001");
  });
  EXPECT_TRUE(stage.events.wait_for("range_finish 1 keys 1"));
  EXPECT_EQ(stage.events.count("fetch_range at s"), 2);
}

TEST(Runner, ReadsTheNextRangeWhileTheTargetWorksOnTheLast) {
  DeliverySpec start = spec("backfilling");
  start.job_lists = 1;
  start.requests = {{1, "backfill", "fill", "open", "s"}};
  Stage stage(start, [](FakeStore& store, FakeTarget& target) {
    store.view = {{"a", "{}"}};
    store.ranges = {{1, {}, {}, "s"}, {2, {}, {}, "s"}, {3, {}, {}, "s"}};
    target.silent = true;
  });
  EXPECT_TRUE(stage.events.wait_for("send a", 2));
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(stage.events.count("fetch_range at s"), 2) << "one may be unanswered for each that is read";
}

TEST(Runner, ReadsNoMoreRangesAtOnceThanItHasJobLists) {
  DeliverySpec start = spec("backfilling");
  start.job_lists = 1;
  start.requests = {{1, "backfill", "fill", "open", "s"}};
  Stage stage(start, [](FakeStore& store, FakeTarget&) {
    store.range_takes = 20ms;
    store.ranges = {{1, {}, {}, "s"}, {2, {}, {}, "s"}, {3, {}, {}, "s"}};
  });
  EXPECT_TRUE(stage.events.wait_for("range_finish 3 keys 0"));
  EXPECT_EQ(stage.store->most_ranges_at_once, 1);
}

TEST(Runner, RenewsItsLeaseWhenTheAnswerToAClaimIsLost) {
  DeliverySpec start = spec("backfilling");
  start.requests = {{1, "backfill", "fill", "open", "s"}};
  Stage stage(start, [](FakeStore& store, FakeTarget&) { store.fail_once("range_claim", "08006"); });
  EXPECT_TRUE(stage.events.wait_for("renew_lease"));
  EXPECT_TRUE(stage.runner->lease_lost());
}

TEST(Runner, RenewsItsLeaseOnlyBetweenTwoPiecesOfWork) {
  DeliverySpec start = spec("backfilling");
  start.requests = {{1, "backfill", "fill", "open", "s"}};
  Stage stage(start, [](FakeStore& store, FakeTarget& target) {
    store.view = {{"a", "{}"}};
    store.ranges = {{1, {}, {}, "s"}};
    target.silent = true;
  });
  ASSERT_TRUE(stage.events.wait_for("send a"));
  stage.store->fail_once("range_claim", "08006");
  stage.runner->update(start);  // a second worker, whose claim gets no answer
  std::this_thread::sleep_for(100ms);
  EXPECT_FALSE(stage.events.has("renew_lease"));
  SendResult answered;
  answered.answered = true;
  stage.target->kept[0](answered);
  EXPECT_TRUE(stage.events.wait_for("renew_lease"));
  EXPECT_LT(stage.events.position("range_finish 1 keys 1"), stage.events.position("renew_lease"));
}

TEST(Runner, RenewsItsLeaseWithinTheOrphanTimeThatIsInForceNow) {
  DeliverySpec start = spec();
  Stage stage(start);
  stage.target->silent = true;
  stage.add_window("200:200:", "a");
  ASSERT_TRUE(stage.events.wait_for("send -a"));
  stage.target->silent = false;
  stage.target->kept[0](SendResult{});  // no answer; what is sent again gets one
  ASSERT_TRUE(stage.events.wait_for("advance 200:200:"));
  stage.runner->update(start);
  EXPECT_FALSE(stage.events.has("renew_lease"));
  start.orphan_time = 2ms;
  stage.runner->update(start);
  EXPECT_TRUE(stage.events.wait_for("renew_lease"));
}

TEST(Runner, MakesADestinationThatIsGoneAnewOnlyForAFillWithoutACheckpoint) {
  DeliverySpec start = spec();
  start.requests = {{1, "resync_all", "fill", "open", "s", true}};
  Stage fresh(start, [](FakeStore& store, FakeTarget&) { store.ranges = {{1, {}, {}, "s"}}; });
  EXPECT_TRUE(fresh.events.wait_for("prepare to fill"));
  start.requests[0].untouched = false;
  Stage begun(start, [](FakeStore& store, FakeTarget&) { store.ranges = {{1, {}, {}, "s"}}; });
  EXPECT_TRUE(begun.events.wait_for("prepare"));
}

TEST(Runner, LooksAtTheDestinationAgainAfterItWasHeld) {
  Stage stage(spec());
  stage.target->decide = [](const Body& body) { return FakeTarget::all(body, Outcome::hold); };
  stage.add_window("200:200:", "a");
  ASSERT_TRUE(stage.events.wait_for("hold type: reason"));
  stage.target->decide = nullptr;
  DeliverySpec resumed = spec();
  resumed.requests = {{1, "resync_all", "fill", "open", "s", true}};
  stage.runner->update(resumed);
  EXPECT_TRUE(stage.events.wait_for("prepare to fill"));
}

TEST(Runner, RestoresTheIndexAlthoughWritersNeverRest) {
  DeliverySpec start = spec();
  start.index = R"({"name":"index","filling":true})";
  start.requests = {{1, "resync_all", "fill", "open", "s"}};
  Stage stage(start, [](FakeStore& store, FakeTarget& target) {
    target.keep_state = true;
    store.ranges = {{1, {}, {}, "s"}};
    store.writers_never_rest = true;
  });
  EXPECT_TRUE(stage.events.wait_for("finish_fill")) << "it waits until nothing is left to drain";
}

TEST(Runner, ShowsAnErrorUntilTheSameWorkSucceeds) {
  Stage stage(spec(), [](FakeStore& store, FakeTarget&) { store.fail_once("window_keys", "57P01"); });
  for (int i = 0; i < 400 && stage.runner->report().last_error.empty(); ++i) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(stage.runner->report().last_error, "57P01: as the test wants it");
  stage.add_window("200:200:", "a");
  ASSERT_TRUE(stage.events.wait_for("advance 200:200:"));
  for (int i = 0; i < 400 && !stage.runner->report().last_error.empty(); ++i) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(stage.runner->report().last_error, "");
  EXPECT_EQ(stage.runner->report().throttle, "");
}

TEST(Runner, TellsTheDatabaseHowLongAFetchMayTake) {
  DeliverySpec start = spec();
  start.fetch_timeout = 7s;
  Stage stage(start);
  EXPECT_EQ(stage.store->fetch_timeout.load(), std::chrono::milliseconds(7000));
}

TEST(Runner, SettlesWhatIsInFlightWhenItWindsDown) {
  Stage stage(spec());
  stage.target->silent = true;
  stage.add_window("200:200:", "a");
  ASSERT_TRUE(stage.events.wait_for("send -a"));
  stage.runner->wind_down();
  EXPECT_FALSE(stage.runner->quiet());
  SendResult answered;
  answered.answered = true;
  stage.target->kept[0](answered);
  EXPECT_TRUE(stage.events.wait_for("advance 200:200:"));
  for (int i = 0; i < 400 && !stage.runner->quiet(); ++i) std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(stage.runner->quiet());
}

TEST(Runner, LeavesRequestsWithoutAnAnswerBehindWhenItIsStopped) {
  Stage stage(spec());
  stage.target->silent = true;
  stage.add_window("200:200:", "a");
  ASSERT_TRUE(stage.events.wait_for("send -a"));
  stage.runner.reset();
  EXPECT_FALSE(stage.events.has("advance 200:200:"));
}

DeliverySpec second_index(const std::string& state) {
  DeliverySpec made = spec();
  made.rebuild = {state, true, "new", "old", false};
  return made;
}

TEST(Runner, LeadsTheNameToTheNewIndexAndRecordsThatAfterwards) {
  Stage stage(second_index("switching"), [](FakeStore& store, FakeTarget&) { store.turning = Turning{"new", "old"}; });
  EXPECT_TRUE(stage.events.wait_for("rebuild_turned"));
  EXPECT_LT(stage.events.position("unready beside old"), stage.events.position("lead to new from old"));
  EXPECT_LT(stage.events.position("lead to new from old"), stage.events.position("rebuild_turned"));
  for (int i = 0; i < 400 && !stage.runner->lease_lost(); ++i) std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(stage.runner->lease_lost()) << "both deliveries have other leases now";
}

TEST(Runner, LeadsNobodyToAnIndexThatIsNotReady) {
  Stage stage(second_index("switching"), [](FakeStore& store, FakeTarget& target) {
    store.turning = Turning{"new", "old"};
    target.not_ready = "1 of 2 copies";
  });
  EXPECT_TRUE(stage.events.wait_for("unready beside old"));
  for (int i = 0; i < 400 && stage.runner->report().last_error.empty(); ++i) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(stage.runner->report().last_error, "1 of 2 copies");
  EXPECT_FALSE(stage.events.has("lead to new from old"));
}

TEST(Runner, RecordsNoSwitchThatTheTargetDidNotMake) {
  Stage stage(second_index("switching"), [](FakeStore& store, FakeTarget& target) {
    store.turning = Turning{"new", "old"};
    target.lead_failure = Failure{Outcome::hold, "not ours"};
  });
  EXPECT_TRUE(stage.events.wait_for("hold not ours"));
  EXPECT_FALSE(stage.events.has("rebuild_turned"));
}

TEST(Runner, SeesToItThatTheNameStaysWhereItBelongsWhileTheOtherIndexIsKept) {
  DeliverySpec kept = second_index("kept");
  kept.rebuild.index = "old";
  kept.rebuild.other = "new";
  Stage stage(kept);
  EXPECT_TRUE(stage.events.wait_for("lead to new from old"));
  EXPECT_FALSE(stage.events.has("rebuild_turned"));
}

}  // namespace
}  // namespace conveyor
