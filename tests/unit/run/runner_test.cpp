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
        place, "origin", 15min);
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
  EXPECT_TRUE(stage.events.wait_for("advance 100:100:"));
  stage.add_window("200:200:", "a");
  EXPECT_TRUE(stage.events.wait_for("advance 200:200:"));
}

TEST(Runner, TriesAgainAfterTheDatabaseWasGone) {
  Stage stage(spec(), [](FakeStore& store, FakeTarget&) { store.fail_once("window_keys", "57P01"); });
  EXPECT_TRUE(stage.events.wait_for("advance 100:100:"));
  EXPECT_FALSE(stage.runner->lease_lost());
}

TEST(Runner, DropsEverythingWhenTheLeaseIsLost) {
  Stage stage(spec(), [](FakeStore& store, FakeTarget&) { store.fail_once("advance", "CV001"); });
  for (int i = 0; i < 400 && !stage.runner->lease_lost(); ++i) std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(stage.runner->lease_lost());
  stage.add_window("200:200:", "a");
  std::this_thread::sleep_for(50ms);
  EXPECT_FALSE(stage.events.has("send a")) << "worked on under a lost lease";
}

TEST(Runner, HoldsTheDeliveryWhenTheViewIsGone) {
  Stage stage(spec(), [](FakeStore& store, FakeTarget&) { store.fail_once("window_keys", "42P01"); });
  EXPECT_TRUE(stage.events.wait_for("hold 42P01: as the test wants it"));
  std::this_thread::sleep_for(50ms);
  EXPECT_FALSE(stage.events.has("advance 100:100:"));
  stage.runner->update(spec());  // resumed
  EXPECT_TRUE(stage.events.wait_for("advance 100:100:"));
}

TEST(Runner, HoldsTheDeliveryWhenTheDestinationIsNotOurs) {
  Stage stage(spec(), [](FakeStore&, FakeTarget& target) { target.prepare_failure = Failure{Outcome::hold, "not ours"}; });
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
  start.requests = {{1, "backfill", "fill", "open", "s"}};
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

TEST(Runner, AsksForANewLeaseWhenTheAnswerToAClaimIsLost) {
  DeliverySpec start = spec("backfilling");
  start.requests = {{1, "backfill", "fill", "open", "s"}};
  Stage stage(start, [](FakeStore& store, FakeTarget&) { store.fail_once("range_claim", "08006"); });
  for (int i = 0; i < 400 && !stage.runner->renewal_due(); ++i) std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(stage.runner->renewal_due());
}

TEST(Runner, SettlesWhatIsInFlightWhenItWindsDown) {
  Stage stage(spec());
  ASSERT_TRUE(stage.events.wait_for("advance 100:100:"));
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
  ASSERT_TRUE(stage.events.wait_for("advance 100:100:"));
  stage.target->silent = true;
  stage.add_window("200:200:", "a");
  ASSERT_TRUE(stage.events.wait_for("send -a"));
  stage.runner.reset();
  EXPECT_FALSE(stage.events.has("advance 200:200:"));
}

}  // namespace
}  // namespace conveyor
