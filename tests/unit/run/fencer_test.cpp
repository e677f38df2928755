#include "run/fencer.hpp"

#include <gmock/gmock.h>

#include <latch>

#include "run/fakes.hpp"

namespace conveyor {
namespace {

using namespace fakes;

// A store whose fences wait until they are let go.
class SlowFences : public FakeStore {
 public:
  using FakeStore::FakeStore;
  std::latch begun{1}, let_go{1};
  void fence(std::uint64_t at, const std::vector<std::string>& deletes) override {
    FakeStore::fence(at, deletes);
    if (!std::exchange(first_, true)) {
      begun.count_down();
      let_go.wait();
    }
  }

 private:
  bool first_ = false;
};

TEST(Fencer, ServesAllWhoWaitWithOneFence) {
  Events events;
  SlowFences store(events);
  Fencer fencer(store);
  std::vector<std::jthread> threads;
  threads.emplace_back([&] { fencer.fence(5, 0, {}); });
  store.begun.wait();
  std::atomic<int> waiting{0};
  for (std::uint64_t version : {9, 7, 8})
    threads.emplace_back([&, version] {
      ++waiting;
      fencer.fence(version, 0, {});
    });
  while (waiting < 3) std::this_thread::yield();
  std::this_thread::sleep_for(20ms);
  store.let_go.count_down();
  threads.clear();
  EXPECT_THAT(events.all(), testing::ElementsAre("fence 5", "fence 7"));
}

TEST(Fencer, TellsEverybodyThatItFailed) {
  Events events;
  FakeStore store(events);
  store.fail_once("fence", "CV001");
  Fencer fencer(store);
  EXPECT_THROW(fencer.fence(5, 0, {}), DatabaseError);
  fencer.fence(6, 0, {});
  EXPECT_TRUE(events.has("fence 6"));
}

}  // namespace
}  // namespace conveyor
