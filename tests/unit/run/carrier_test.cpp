#include "run/carrier.hpp"

#include <gmock/gmock.h>

#include "run/fakes.hpp"

namespace conveyor {
namespace {

using namespace fakes;

TEST(Carrier, FindsTheOneDocumentThatTheViewCannotMake) {
  Bench bench;
  std::vector<std::string> keys;
  for (int i = 0; i < 100; ++i) {
    keys.push_back("k" + std::to_string(i));
    bench.store.view[keys.back()] = "{}";
  }
  bench.store.poisoned = {"k42"};
  Carrier carrier(bench.lane);
  carrier.keys(keys, "s");
  carrier.settle();
  const Checkpoint checkpoint = carrier.take_checkpoint();
  ASSERT_EQ(checkpoint.dead.size(), 1u);
  EXPECT_EQ(checkpoint.dead[0].key, "k42");
  EXPECT_EQ(checkpoint.dead[0].type, "document_query");
  EXPECT_EQ(checkpoint.dead[0].reason, "22012: division by zero");
  EXPECT_EQ(checkpoint.counts.sent, 99);
}

TEST(Carrier, FetchesTheKeysOfARangeThatFails) {
  Bench bench;
  bench.store.view = {{"a", "{}"}, {"b", "{}"}};
  bench.store.poisoned = {"b"};
  Carrier carrier(bench.lane);
  carrier.range({1, {}, {}, "s"});
  carrier.settle();
  const Checkpoint checkpoint = carrier.take_checkpoint();
  EXPECT_EQ(checkpoint.counts.sent, 1);
  EXPECT_EQ(checkpoint.dead.size(), 1u);
  EXPECT_EQ(carrier.handled(), 2);
}

TEST(Carrier, TakesADocumentThatTimesOutAloneForADeadLetter) {
  Bench bench;
  bench.store.view = {{"a", "{}"}};
  bench.store.fail_once("fetch_keys", "57014");
  Carrier carrier(bench.lane);
  carrier.keys({"a"}, "s");
  carrier.settle();
  EXPECT_EQ(carrier.take_checkpoint().dead.size(), 1u);
}

TEST(Carrier, LeavesErrorsThatAreNotAboutDocumentsToOthers) {
  for (const char* sqlstate : {"CV001", "40001", "08006", "42501", "53200"}) {
    Bench bench;
    bench.store.fail_once("fetch_keys", sqlstate);
    Carrier carrier(bench.lane);
    EXPECT_THROW(carrier.keys({"a", "b"}, "s"), DatabaseError) << sqlstate;
  }
}

TEST(Carrier, ReadsAgainWhatMayNotBeSentAgain) {
  Bench bench;
  DeliverySpec spec;
  spec.retry_delay = 20s;  // longer than a body is kept
  bench.lane.configure(spec, Clock::now());
  bench.store.view = {{"a", "{}"}};
  bool first = true;
  bench.target.decide = [&](const Body& body) {
    return FakeTarget::all(body, std::exchange(first, false) ? Outcome::retry : Outcome::done);
  };
  Carrier carrier(bench.lane);
  carrier.keys({"a"}, "s");
  bench.store.version = 200;
  carrier.settle();
  EXPECT_EQ(bench.events.count("fetch_keys 1 at s"), 2);
  EXPECT_TRUE(bench.events.has("fence 200"));
  EXPECT_EQ(carrier.take_checkpoint().counts.sent, 1);
}

// With a rate an answer could take longer than any may: a range is read in pages that the rate lets through in seconds.
TEST(Carrier, ReadsARangeInPagesWhereARateLimitsIt) {
  Bench bench;
  DeliverySpec spec;
  spec.rate = 1'000'000;
  bench.lane.configure(spec, Clock::now());
  bench.store.view = {{"a", "{}"}, {"b", "{}"}};
  Carrier carrier(bench.lane);
  carrier.range({1, {}, {}, "s"});
  carrier.settle();
  EXPECT_FALSE(bench.events.has("fetch_range at s"));
  EXPECT_EQ(carrier.take_checkpoint().counts.sent, 2);
}

// A time-out says nothing about the documents when it was the target that held the answer up.
TEST(Carrier, FetchesAgainWhatTimedOutWhileTheTargetTookNothing) {
  Bench bench;
  bench.budget.set_capacity(1000);
  bench.store.view = {{"a", std::string(900, 'x')}, {"b", std::string(900, 'x')}};
  bench.store.end_with = DatabaseError("57014", "canceling statement due to statement timeout");
  bench.target.delay = 30ms;
  Carrier carrier(bench.lane);
  carrier.keys({"a", "b"}, "s");
  carrier.settle();
  const Checkpoint checkpoint = carrier.take_checkpoint();
  EXPECT_TRUE(checkpoint.dead.empty());
  EXPECT_GE(checkpoint.counts.sent, 2);
}

TEST(Carrier, AsksATargetThatTakesNothingForOnePageAtATime) {
  Bench bench;
  DeliverySpec spec;
  spec.retry_delay = 20s;  // longer than a body is kept
  bench.lane.configure(spec, Clock::now());
  std::vector<std::string> keys;
  for (int i = 0; i < 3000; ++i) {
    keys.push_back("k" + std::to_string(i));
    bench.store.view[keys.back()] = "{}";
  }
  int refusals = 2;
  bench.target.decide = [&](const Body& body) {
    return FakeTarget::all(body, refusals-- > 0 ? Outcome::retry : Outcome::done);
  };
  Carrier carrier(bench.lane);
  carrier.keys(keys, "s");
  carrier.settle();
  EXPECT_EQ(bench.events.count("fetch_keys 1000 at s"), 4) << "one page was refused again, then all three pages went";
  EXPECT_EQ(carrier.take_checkpoint().counts.sent, 3000);
}

}  // namespace
}  // namespace conveyor
