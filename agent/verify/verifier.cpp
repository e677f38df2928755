#include "verify/verifier.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <iterator>
#include <optional>
#include <thread>
#include <utility>

#include "decide/backoff.hpp"
#include "run/failpoint.hpp"
#include "verify/content_hash.hpp"
#include "verify/range_comparison.hpp"

namespace conveyor {

namespace {

using namespace std::chrono_literals;

constexpr int page_keys = 500;  // looked at together
constexpr int repair_keys = 1000;
constexpr std::size_t ids_in_search = 1000;
// How far above the present version one in the target may be and still be passed: conveyor.version_reach().
constexpr std::int64_t version_reach = 100'000;
constexpr std::int64_t versions_ahead[] = {0, 1'000, version_reach};

std::string out_of_reach_text(const std::string& delivery, std::int64_t version, std::int64_t present) {
  return fmt::format(
      "its version in the target, {}, is far above those of this database, which are at {}: no document can replace "
      "it; "
      "SELECT conveyor.rebuild('{}') fills a new index",
      version, present, delivery);
}

bool may_pass(Outcome outcome) { return outcome == Outcome::retry || outcome == Outcome::slow_down; }

}  // namespace

// Above its callers, since what it returns is deduced.
template <typename Call>
auto Verifier::insist(Call call) {
  Backoff backoff(100ms, 5s, static_cast<std::uint64_t>(Clock::now().time_since_epoch().count()));
  const Time deadline = Clock::now() + options_.patience;
  while (true) {
    auto result = call();
    if (result) return std::move(*result.value);
    if (!may_pass(result.failure.outcome) || Clock::now() > deadline)
      throw VerifyTrouble(fmt::format("target \"{}\": {}", plan_.target, result.failure.reason),
                          may_pass(result.failure.outcome));
    rest(backoff.next());
  }
}

Verifier::Verifier(VerifyOptions options)
    : options_(std::move(options)), control_(options_.database, stop_.get_token()), bucket_(options_.rate) {
  began_ = noted_ = Clock::now();
}

Verifier::~Verifier() = default;

void Verifier::run() {
  plan_ = control_.begin(options_.delivery, options_.anew, options_.repair);
  if (plan_.index.empty())
    throw VerifyTrouble(fmt::format("delivery \"{}\" has no index yet: no agent has worked on it", plan_.delivery),
                        false);
  {
    std::lock_guard lock(mutex_);
    progress_.phase = plan_.phase;
    progress_.documents = plan_.documents;
    progress_.total = plan_.documents_total;
  }
  Result<std::unique_ptr<Target>> made = make_target(plan_.kind, plan_.target_options, plan_.secret);
  if (!made) throw VerifyTrouble(made.failure.reason, false);
  target_ = std::move(*made.value);
  destination_ = {plan_.delivery, plan_.destination, plan_.index, {}, {}, {}};
  const std::string field = plan_.key.at(0);
  const std::string type = insist([&] { return target_->field_type(destination_, field); });
  by_range_ = plan_.key.size() == 1 && same_order(plan_.key_types.at(0), type);

  if (plan_.phase == "compare") {
    insist([&] { return target_->refresh(destination_); });
    compare();
    enter("sweep");
  }
  if (plan_.phase == "sweep") {
    sweep();
    enter("settle");
  }
  if (plan_.phase == "settle") {
    settle();
    enter("repair");
  }
  if (plan_.repair) repair();
}

void Verifier::enter(const std::string& phase) {
  control_.enter(phase);
  plan_.phase = phase;
  std::lock_guard lock(mutex_);
  progress_.phase = phase;
}

VerifyProgress Verifier::progress() const {
  std::lock_guard lock(mutex_);
  VerifyProgress now = progress_;
  now.seconds = seconds(Clock::now() - began_);
  return now;
}

// The first that fails ends the others, and is what went wrong.
void Verifier::compare() {
  std::vector<std::jthread> workers;
  for (int n = 0; n < options_.connections; ++n)
    workers.emplace_back([this] {
      try {
        Verification here(options_.database, stop_.get_token());
        here.join(plan_);
        compare_ranges(here);
      } catch (...) {
        std::lock_guard lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
        stop_.request_stop();
      }
    });
  workers.clear();
  if (failure_) std::rethrow_exception(failure_);
}

void Verifier::compare_ranges(Verification& here) {
  while (!stop_.stop_requested()) {
    int documents;
    {
      std::lock_guard lock(mutex_);
      documents = range_documents(documents_read_, bytes_);
    }
    const std::optional<Range> range = here.claim(documents);
    if (!range) return;
    keep_rate(compare_range(here, *range));
  }
  throw Stopped();
}

std::size_t Verifier::compare_range(Verification& here, const Range& range) {
  RangeComparison comparison;
  here.contents(
      range, [&](const std::string& key, std::uint64_t content) { comparison.expect(key, content); },
      [&](const std::string& key) { comparison.expect_none(key); });
  const auto take = [&](const StoredDocument& document) {
    comparison.found(document.id, document.source, !document.routing.empty());
  };
  if (by_range_) {
    ReadBack wanted;
    wanted.kind = ReadBack::Kind::range;
    wanted.field = plan_.key.front();
    if (range.first) wanted.first = range.first->front();
    if (range.last) wanted.last = range.last->front();
    wanted.expected = comparison.expected();
    read(wanted, take);
  } else {
    const std::vector<std::string> keys = comparison.expected_keys();
    for (std::size_t at = 0; at < keys.size(); at += ids_in_search) {
      ReadBack wanted;
      wanted.ids = {keys.begin() + static_cast<std::ptrdiff_t>(at),
                    keys.begin() + static_cast<std::ptrdiff_t>(std::min(at + ids_in_search, keys.size()))};
      wanted.expected = wanted.ids.size();
      read(wanted, take);
    }
  }
  {
    std::lock_guard lock(mutex_);
    bytes_ += comparison.bytes();
    documents_read_ += comparison.expected();
  }
  failpoint("verify_before_note");
  note(here, range.number, comparison.expected(), comparison.suspects());
  return comparison.expected();
}

void Verifier::note(Verification& here, std::optional<int> range, std::size_t documents,
                    const std::vector<std::string>& keys) {
  double spent;
  {
    std::lock_guard lock(mutex_);
    const Time now = Clock::now();
    spent = seconds(now - std::exchange(noted_, now));
  }
  here.note(range, documents, keys, spent);
  std::lock_guard lock(mutex_);
  progress_.documents += static_cast<std::int64_t>(documents);
  progress_.documents_now += static_cast<std::int64_t>(documents);
  progress_.suspected += static_cast<std::int64_t>(keys.size());
}

void Verifier::sweep() {
  insist([&] { return target_->refresh(destination_); });
  if (by_range_) {
    std::vector<std::string> keys;
    const auto flush = [&] { note(control_, std::nullopt, 0, std::exchange(keys, {})); };
    ReadBack wanted;
    wanted.kind = ReadBack::Kind::without;
    wanted.field = plan_.key.front();
    read(wanted, [&](const StoredDocument& document) {
      keys.push_back(document.id);
      if (keys.size() >= page_keys) flush();
    });
    if (!keys.empty()) flush();
    return;
  }
  std::string position;
  do {
    const IdPage page = insist([&] { return target_->list_ids(destination_, position); });
    const std::vector<std::string> absent = control_.absent(page.ids);
    if (!absent.empty()) note(control_, std::nullopt, 0, absent);
    keep_rate(page.ids.size());
    position = page.position;
    if (stop_.stop_requested()) throw Stopped();
  } while (!position.empty());
}

void Verifier::settle() {
  std::int64_t after = 0;
  while (true) {
    const std::vector<NotedKey> page = control_.noted(false, after, page_keys);
    if (page.empty()) return;
    std::vector<std::string> keys;
    for (const NotedKey& noted : page) keys.push_back(noted.key);
    look(keys, [&](const std::vector<Verdict>& verdicts) { control_.settle(verdicts); });
    after = page.back().number;
  }
}

void Verifier::look(const std::vector<std::string>& keys, const std::function<void(std::vector<Verdict>)>& decided) {
  SecondLook second(keys);
  for (std::vector<std::string> open = keys; !open.empty(); open = second.open()) {
    const std::string snapshot = control_.originals(
        open, [&](const std::string& key, Original original) { second.original(key, std::move(original)); });
    await([&] { return control_.delivered(snapshot); }, "has not acknowledged what was committed");
    insist([&] { return target_->refresh(destination_); });
    ReadBack wanted;
    wanted.ids = open;
    wanted.expected = open.size();
    wanted.versions = true;
    read(wanted, [&](const StoredDocument& document) {
      second.copy(document.id, {true, document.version, document.sequence,
                                content_hash(document.source.data(), document.source.size()), document.routing});
    });
    second.look_over();
    const std::vector<Verdict> verdicts = second.take_verdicts();
    decided(verdicts);
    {
      std::lock_guard lock(mutex_);
      progress_.looked += static_cast<std::int64_t>(verdicts.size());
    }
    failpoint("verify_after_second_look");
  }
  std::lock_guard lock(mutex_);
  progress_.moving += second.moving();
}

void Verifier::repair() {
  std::int64_t after = 0;
  while (true) {
    const std::vector<NotedKey> page = control_.noted(true, after, repair_keys);
    if (page.empty()) return;
    after = page.back().number;
    std::vector<NotedKey> left;
    std::ranges::copy_if(page, std::back_inserter(left), [](const NotedKey& noted) { return !noted.repaired; });
    for (const std::int64_t ahead : versions_ahead) {
      if (!left.empty()) left = repair(left, ahead);
    }
  }
}

// Through the agent that runs the delivery, as every other document: read in a new snapshot, with its version, which
// must be above the one in the target. Of what is missing there the target remembers a version too, and does not show
// it: what is not taken is sent again further ahead. Returns what still differs.
std::vector<NotedKey> Verifier::repair(const std::vector<NotedKey>& differences, std::int64_t ahead) {
  const std::int64_t present = control_.present_version();
  std::vector<std::string> keys;
  std::vector<Verdict> out_of_reach;
  std::int64_t above = present + ahead;
  for (const NotedKey& noted : differences) {
    if (noted.version <= present + version_reach) {
      above = std::max(above, noted.version);
      keys.push_back(noted.key);
      continue;
    }
    out_of_reach.push_back(
        {noted.key, noted.kind, noted.version, out_of_reach_text(plan_.delivery, noted.version, present)});
  }
  control_.settle(out_of_reach);
  if (keys.empty()) return {};

  const std::int64_t request = control_.resync(keys, std::min(above, present + version_reach));
  const auto finished = [&] {
    const std::string state = control_.request_state(request);
    if (state == "cancelled" || state == "failed")
      throw VerifyTrouble(fmt::format("request {}, which repairs, is {}", request, state), false);
    return state == "finished";
  };
  await(finished, fmt::format("has not finished request {}, which repairs,", request));
  failpoint("verify_after_request");
  std::vector<NotedKey> left;
  look(keys, [&](const std::vector<Verdict>& verdicts) {
    control_.settle(verdicts);
    for (const Verdict& verdict : verdicts)
      if (!verdict.kind.empty()) left.push_back({0, verdict.key, verdict.kind, verdict.detail, verdict.version, false});
  });
  return left;
}

void Verifier::differences(const std::function<void(const NotedKey&)>& take) {
  std::int64_t after = 0;
  while (true) {
    const std::vector<NotedKey> page = control_.noted(true, after, page_keys);
    if (page.empty()) return;
    for (const NotedKey& noted : page) take(noted);
    after = page.back().number;
  }
}

void Verifier::await(const std::function<bool()>& reached, const std::string& what) {
  const Time deadline = Clock::now() + options_.patience;
  for (Duration pause = 2ms; !reached(); pause = std::min<Duration>(pause * 3 / 2, 100ms)) {
    if (Clock::now() > deadline)
      throw VerifyTrouble(fmt::format("delivery \"{}\" {} within {:.0f} s: {}", plan_.delivery, what,
                                      seconds(options_.patience), control_.condition()),
                          false);
    rest(pause);
  }
}

void Verifier::read(const ReadBack& wanted, const std::function<void(const StoredDocument&)>& take) {
  insist([&] { return target_->read(destination_, wanted, take); });
}

void Verifier::keep_rate(std::size_t documents) {
  while (true) {
    Duration wait;
    {
      std::lock_guard lock(mutex_);
      wait = bucket_.wait(Clock::now());
      if (wait <= Duration::zero()) {
        bucket_.take(static_cast<double>(documents), Clock::now());
        return;
      }
    }
    rest(wait);
  }
}

void Verifier::rest(Duration duration) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_for(lock, stop_.get_token(), duration, [] { return false; });
  if (stop_.stop_requested()) throw Stopped();
}

}  // namespace conveyor
