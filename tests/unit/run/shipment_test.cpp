#include "run/shipment.hpp"

#include <gmock/gmock.h>

#include "run/fakes.hpp"

namespace conveyor {
namespace {

using namespace fakes;
using testing::ElementsAre;

std::unique_ptr<Answer> answer(const std::string& frame) { return std::make_unique<OneFrame>(frame); }

TEST(Shipment, FencesTheSnapshotBeforeItSendsAnythingOfIt) {
  Bench bench;
  Shipment shipment(bench.lane, Errand::live);
  shipment.read(*answer(Frame().head(7, "s").document("a", "{}").end()));
  shipment.settle();
  EXPECT_THAT(bench.events.all(), ElementsAre("fence 7", "send a"));
}

TEST(Shipment, EntersDeletesIntoTheLedgerBeforeItSendsThem) {
  Bench bench;
  Shipment shipment(bench.lane, Errand::live);
  shipment.read(*answer(Frame().head(7, "s").missing("gone").end()));
  shipment.settle();
  EXPECT_THAT(bench.events.all(), ElementsAre("fence 7 gone", "send -gone"));
  EXPECT_EQ(shipment.take_checkpoint().counts.deleted, 1);
}

TEST(Shipment, LowersTheSendersBoundToTheOldestSnapshotOfABody) {
  Bench bench;
  Shipment shipment(bench.lane, Errand::live);
  shipment.read(*answer(Frame().head(7, "s").document("a", "{}").end()));
  shipment.read(*answer(Frame().head(9, "s").missing("b").end()));
  shipment.settle();
  EXPECT_THAT(bench.events.all(), ElementsAre("fence 7", "fence 9 b", "send a -b"));
}

TEST(Shipment, CountsWhatBecameOfEachDocument) {
  Bench bench;
  bench.target.decide = [](const Body& body) {
    SendResult result = FakeTarget::all(body, Outcome::done);
    result.items[1].outcome = Outcome::superseded;
    result.items[2] = {Outcome::dead_letter, "mapper_parsing_exception", "no date"};
    return result;
  };
  Shipment shipment(bench.lane, Errand::live);
  shipment.read(*answer(Frame().head(7, "s").document("a", "{}").document("b", "{}").document("c", "{}").end()));
  shipment.settle();
  const Checkpoint checkpoint = shipment.take_checkpoint();
  EXPECT_EQ(checkpoint.counts.sent, 1);
  EXPECT_EQ(checkpoint.counts.superseded, 1);
  ASSERT_EQ(checkpoint.dead.size(), 1u);
  EXPECT_EQ(checkpoint.dead[0].key, "c");
  EXPECT_EQ(checkpoint.dead[0].type, "mapper_parsing_exception");
}

TEST(Shipment, SendsOnlyTheItemsAgainThatMaySucceedLater) {
  Bench bench;
  bool first = true;
  bench.target.decide = [&](const Body& body) {
    SendResult result = FakeTarget::all(body, Outcome::done);
    if (std::exchange(first, false)) result.items[1].outcome = result.items[2].outcome = Outcome::retry;
    return result;
  };
  Shipment shipment(bench.lane, Errand::live);
  shipment.read(*answer(Frame().head(7, "s").document("a", "{}").document("b", "{}").document("c", "{}").end()));
  shipment.settle();
  EXPECT_THAT(bench.events.all(), ElementsAre("fence 7", "send a b c", "send b c"));
  const Checkpoint checkpoint = shipment.take_checkpoint();
  EXPECT_EQ(checkpoint.counts.sent, 3);
  EXPECT_EQ(bench.lane.progress.retries.load(), 2);
}

TEST(Shipment, SplitsWhatWasTooLarge) {
  Bench bench;
  bench.target.decide = [](const Body& body) {
    SendResult result;
    result.answered = true;
    result.whole = body.items.size() > 1 ? Outcome::shrink : Outcome::done;
    return result;
  };
  Shipment shipment(bench.lane, Errand::live);
  shipment.read(*answer(Frame().head(7, "s").document("a", "{}").document("b", "{}").document("c", "{}").end()));
  shipment.settle();
  EXPECT_EQ(shipment.take_checkpoint().counts.sent, 3);
  EXPECT_THAT(bench.events.all(), testing::IsSupersetOf({"send a b", "send a", "send b", "send c"}));
}

TEST(Shipment, MakesADocumentThatIsTooLargeAloneADeadLetter) {
  Bench bench;
  bench.target.decide = [](const Body& body) { return FakeTarget::all(body, Outcome::shrink); };
  Shipment shipment(bench.lane, Errand::live);
  shipment.read(*answer(Frame().head(7, "s").document("a", "{}").end()));
  shipment.settle();
  EXPECT_EQ(shipment.take_checkpoint().dead.size(), 1u);
}

TEST(Shipment, GivesADocumentUpThatFailsAloneTooOften) {
  Bench bench;
  DeliverySpec spec;
  spec.max_attempts = 3;
  spec.retry_delay = 1ms;
  bench.lane.configure(spec, Clock::now());
  bench.target.decide = [](const Body& body) {
    SendResult result = FakeTarget::all(body, Outcome::done);
    for (std::size_t i = 0; i < body.items.size(); ++i)
      if (body.key(i) == "b") result.items[i] = {Outcome::retry, "timeout", "again"};
    return result;
  };
  Shipment shipment(bench.lane, Errand::live);
  shipment.read(*answer(Frame().head(7, "s").document("a", "{}").document("b", "{}").end()));
  shipment.settle();
  const Checkpoint checkpoint = shipment.take_checkpoint();
  ASSERT_EQ(checkpoint.dead.size(), 1u);
  EXPECT_EQ(checkpoint.dead[0].attempts, 3);
}

// Several in one window: none of them may hold up the rest for ever.
TEST(Shipment, GivesSeveralDocumentsUpThatFailWhereTheOthersPass) {
  Bench bench;
  DeliverySpec spec;
  spec.max_attempts = 3;
  spec.retry_delay = 1ms;
  bench.lane.configure(spec, Clock::now());
  bench.target.decide = [](const Body& body) {
    SendResult result = FakeTarget::all(body, Outcome::done);
    for (std::size_t i = 0; i < body.items.size(); ++i)
      if (body.key(i) < "c") result.items[i] = {Outcome::retry, "exception", "again"};
    return result;
  };
  Shipment shipment(bench.lane, Errand::live);
  Frame frame;
  frame.head(7, "s");
  for (const char* key : {"a", "b", "c", "d", "e"}) frame.document(key, "{}");
  shipment.read(*answer(frame.end()));
  shipment.settle();
  const Checkpoint checkpoint = shipment.take_checkpoint();
  EXPECT_EQ(checkpoint.dead.size(), 2u);
  EXPECT_EQ(checkpoint.counts.sent, 3);
}

TEST(Shipment, GivesNothingUpWhileTheTargetOrAShardOfItIsInTrouble) {
  for (const bool one_shard : {true, false}) {
    Bench bench;
    DeliverySpec spec;
    spec.max_attempts = 3;
    spec.retry_delay = 1ms;
    bench.lane.configure(spec, Clock::now());
    int requests = 0;
    bench.target.decide = [&](const Body& body) {
      SendResult result = FakeTarget::all(body, Outcome::done);
      if (++requests > 5) return result;
      for (std::size_t i = 0; i < body.items.size(); ++i)
        if (!one_shard)
          result.items[i] = {Outcome::retry, "exception", "again"};
        else if (body.key(i) == "a")
          result.items[i] = {Outcome::retry, "unavailable_shards_exception", "not assigned"};
      return result;
    };
    Shipment shipment(bench.lane, Errand::live);
    shipment.read(*answer(Frame().head(7, "s").document("a", "{}").document("b", "{}").document("c", "{}").end()));
    shipment.settle();
    const Checkpoint checkpoint = shipment.take_checkpoint();
    EXPECT_TRUE(checkpoint.dead.empty());
    EXPECT_EQ(checkpoint.counts.sent, 3);
  }
}

TEST(Shipment, StopsWhenTheTargetWantsAPerson) {
  Bench bench;
  bench.target.decide = [](const Body& body) { return FakeTarget::all(body, Outcome::hold); };
  Shipment shipment(bench.lane, Errand::live);
  shipment.read(*answer(Frame().head(7, "s").document("a", "{}").end()));
  EXPECT_THROW(shipment.settle(), Held);
}

TEST(Shipment, KeepsTheVersionOfARequestWithoutAnAnswerOpen) {
  Bench bench;
  bool first = true;
  bench.target.decide = [&](const Body& body) {
    SendResult result = FakeTarget::all(body, Outcome::done);
    if (std::exchange(first, false)) result = {};
    return result;
  };
  {
    Shipment shipment(bench.lane, Errand::live);
    shipment.read(*answer(Frame().head(7, "s").document("a", "{}").end()));
    shipment.settle();
    EXPECT_EQ(shipment.take_checkpoint().settled_below, 7u);
  }
  Shipment later(bench.lane, Errand::live);
  later.read(*answer(Frame().head(9, "s").document("a", "{}").end()));
  later.settle();
  EXPECT_EQ(later.take_checkpoint().settled_below, 7u);
}

TEST(Shipment, OfARequestWaitsUntilAChangeThatWaitsHasGone) {
  Bench bench;
  bench.lane.exchange->precedence.live_waits(Clock::now() + 1h);
  std::jthread request([&] {
    Shipment shipment(bench.lane, Errand::request);
    shipment.read(*answer(Frame().head(7, "s").document("requested", "{}").end()));
    shipment.settle();
  });
  ASSERT_TRUE(bench.events.wait_for("fence 7"));
  Shipment change(bench.lane, Errand::live);
  change.read(*answer(Frame().head(8, "s").document("changed", "{}").end()));
  change.settle();
  request.join();
  EXPECT_LT(bench.events.position("send changed"), bench.events.position("send requested"));
}

TEST(Shipment, CountsAsOpenFromTheReadOn) {
  Bench bench;
  Shipment reading(bench.lane, Errand::live);
  reading.read(*answer(Frame().head(7, "s").document("a", "{}").end()));
  // Another piece of work ends while the first one's document has not been sent yet.
  EXPECT_EQ(bench.lane.versions->settled_below(), 7u);
  reading.settle();
  EXPECT_EQ(bench.lane.versions->settled_below(), static_cast<std::uint64_t>(INT64_MAX));
}

TEST(Shipment, CountsARequestAsOpenWhoseShipmentWasGivenUp) {
  Bench bench;
  bench.target.silent = true;
  {
    Shipment shipment(bench.lane, Errand::live);
    shipment.read(*answer(Frame().head(7, "s").document("a", "{}").end()));
    bench.stop.request_stop();
    EXPECT_THROW(shipment.settle(), Stopped);
  }
  EXPECT_EQ(bench.lane.versions->settled_below(), 7u);
  SendResult answered;
  answered.answered = true;
  bench.target.kept[0](answered);
  bench.target.kept.clear();
  EXPECT_EQ(bench.lane.versions->settled_below(), static_cast<std::uint64_t>(INT64_MAX));
}

TEST(Shipment, RefusesAnAnswerThatWasCutOff) {
  Bench bench;
  Shipment shipment(bench.lane, Errand::live);
  EXPECT_THROW(shipment.read(*answer(Frame().head(7, "s").document("a", "{}").cut())), std::runtime_error);
}

TEST(Shipment, NamesTheKeysThatWereDeliveredWhereThereAreDeadLetters) {
  Bench bench;
  DeliverySpec spec;
  spec.dead_letters = 1;
  bench.lane.configure(spec, Clock::now());
  Shipment shipment(bench.lane, Errand::live);
  shipment.read(*answer(Frame().head(7, "s").document("a", "{}").missing("b").end()));
  shipment.settle();
  EXPECT_THAT(shipment.take_checkpoint().revived, ElementsAre("a", "b"));
}

TEST(Shipment, GivesItsMemoryBack) {
  Bench bench;
  {
    Shipment shipment(bench.lane, Errand::live);
    shipment.read(*answer(Frame().head(7, "s").document("a", std::string(300'000, 'x')).end()));
    EXPECT_GE(bench.budget.used(), 300'000u);
    shipment.settle();
  }
  EXPECT_EQ(bench.budget.used(), 0u);
}

TEST(Shipment, SendsABodyEarlierWhenMemoryIsShort) {
  Bench bench;
  bench.budget.set_capacity(100'000);
  Shipment shipment(bench.lane, Errand::live);
  const std::string large(60'000, 'x');
  shipment.read(*answer(Frame().head(7, "s").document("a", large).document("b", large).end()));
  shipment.settle();
  EXPECT_THAT(bench.events.all(), ElementsAre("fence 7", "send a", "send b"));
}

}  // namespace
}  // namespace conveyor
