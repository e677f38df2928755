#include "run/fetchers.hpp"

#include <gmock/gmock.h>

#include "run/fakes.hpp"

namespace conveyor {
namespace {

using namespace fakes;

std::vector<std::string> page(int number, int size = 100) {
  std::vector<std::string> keys;
  for (int i = 0; i < size; ++i) keys.push_back(std::to_string(number) + "/" + std::to_string(i));
  return keys;
}

TEST(Fetchers, DeliverEveryKeyOnceOverSeveralConnections) {
  Bench bench;
  Fetchers fetchers(bench.lane, 4, "50:50:");
  for (int i = 0; i < 40; ++i) fetchers.give(page(i));
  const Checkpoint checkpoint = fetchers.finish();
  EXPECT_EQ(checkpoint.counts.deleted, 4000);
  EXPECT_EQ(bench.events.count("fetch_keys 100 at 50:50:"), 40);
  EXPECT_EQ(checkpoint.settled_below, static_cast<std::uint64_t>(INT64_MAX)) << "something counts as under way";
}

TEST(Fetchers, ReadAtOnceThatIsWhatTheyAreFor) {
  Bench bench;
  bench.store.meet(3);
  Fetchers fetchers(bench.lane, 3, "50:50:");
  for (int i = 0; i < 3; ++i) fetchers.give(page(i));
  fetchers.finish();
  EXPECT_TRUE(bench.store.met) << "no three fetches were under way at the same time";
}

TEST(Fetchers, FetchOnePageWithoutAThread) {
  Bench bench;
  Fetchers fetchers(bench.lane, 4, "50:50:");
  fetchers.give(page(0));
  EXPECT_FALSE(bench.events.has("fetch_keys 100 at 50:50:")) << "begun before the window was known to be larger";
  EXPECT_EQ(fetchers.finish().counts.deleted, 100);
}

TEST(Fetchers, FailAllWhenOneFails) {
  Bench bench;
  bench.store.fail_once("fetch_keys", "53200");
  Fetchers fetchers(bench.lane, 2, "50:50:");
  EXPECT_THROW(
      {
        for (int i = 0; i < 100; ++i) fetchers.give(page(i));
        fetchers.finish();
      },
      DatabaseError);
}

TEST(Fetchers, LeaveAtOnceWhenTheWindowIsDropped) {
  Bench bench;
  bench.target.silent = true;
  {
    Fetchers fetchers(bench.lane, 2, "50:50:");
    for (int i = 0; i < 10; ++i) fetchers.give(page(i));
  }
  EXPECT_FALSE(bench.events.has("advance "));
}

}  // namespace
}  // namespace conveyor
