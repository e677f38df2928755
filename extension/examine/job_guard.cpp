#include "examine/job_guard.hpp"

#include "examine/probe.hpp"
#include "examine/sampling.hpp"
#include "examine/warning.hpp"
#include "guard.hpp"

#include <string>
#include <type_traits>

namespace conveyor {

namespace {

constexpr long kLookEvery = 8;  // batches; growth is no sudden thing

static_assert(std::is_trivially_destructible_v<BatchHistory>);

}  // namespace

struct JobGuard {
  MemoryContext memory;
  MemoryContext evidence;  // what the latest instrumented batch has shown
  Oid source;
  Sampling sampling;
  bool instrumenting;
  BatchHistory history;
  Growth growth;
  bool suspicious;
  Suspect suspect;  // if suspicious; texts in evidence
  Suspect slowest;
  const char* plan;  // warning of the plan, until a batch was instrumented
  char* warning;
};

namespace {

bool grows(const JobGuard* guard) { return guard->growth.kind != Growth::none; }

std::string_view keep(MemoryContext memory, std::string_view text) {
  return backend([&] {
    auto* copy = static_cast<char*>(MemoryContextAlloc(memory, text.size() + 1));
    memcpy(copy, text.data(), text.size());
    return std::string_view(copy, text.size());
  });
}

Suspect keep(MemoryContext memory, Suspect suspect) {
  for (std::string_view* text : {&suspect.label, &suspect.relation, &suspect.advice, &suspect.statement}) {
    *text = keep(memory, *text);
  }
  return suspect;
}

void take_evidence(JobGuard* guard, const BatchSample& batch) {
  const std::vector<Statement> statements = probe_statements();
  const std::vector<Suspect> suspects = find_suspects(statements, batch.rows, batch.milliseconds);
  backend([&] { MemoryContextReset(guard->evidence); });
  guard->suspicious = !suspects.empty();
  guard->suspect = guard->suspicious ? keep(guard->evidence, suspects.front()) : Suspect();
  guard->slowest = keep(guard->evidence, slowest_node(statements));
  guard->plan = nullptr;
}

void renew_warning(JobGuard* guard) {
  std::vector<Suspect> suspects;
  if (guard->suspicious) suspects.push_back(guard->suspect);
  std::string text = warning_of(guard->growth, suspects, guard->slowest);
  if (text.empty() && guard->plan != nullptr) text = guard->plan;
  if (guard->warning != nullptr) pfree(guard->warning);
  guard->warning = nullptr;
  if (!text.empty()) guard->warning = backend([&] { return MemoryContextStrdup(guard->memory, text.c_str()); });
}

}  // namespace

JobGuard* guard_open(MemoryContext parent, Oid source, int one_in) {
  MemoryContext memory = AllocSetContextCreate(parent, "conveyor guard", ALLOCSET_SMALL_SIZES);
  auto* guard = static_cast<JobGuard*>(MemoryContextAllocZero(memory, sizeof(JobGuard)));
  new (guard) JobGuard();
  guard->memory = memory;
  guard->evidence = AllocSetContextCreate(memory, "conveyor evidence", ALLOCSET_SMALL_SIZES);
  guard->source = source;
  guard->sampling.one_in = one_in;
  return guard;
}

void guard_learn(JobGuard* guard, const BatchSample& batch) { guard->history.add(batch); }

void guard_close(JobGuard* guard) {
  if (guard->instrumenting) probe_end();
  MemoryContextDelete(guard->memory);
}

void guard_plan(JobGuard* guard, const char* warning) {
  guard->plan = warning == nullptr ? nullptr : MemoryContextStrdup(guard->memory, warning);
  entered([&] { renew_warning(guard); });
}

void guard_begin(JobGuard* guard, double rows) {
  guard->instrumenting = guard->sampling.is_due(rows, grows(guard));
  if (guard->instrumenting) probe_begin(guard->source);
}

void guard_end(JobGuard* guard, const BatchSample& batch, bool failed) {
  probe_end();
  entered([&] {
    const bool instrumented = guard->instrumenting;
    guard->instrumenting = false;
    if (!failed) guard->history.add(batch);
    if (instrumented) {
      take_evidence(guard, batch);
      guard->sampling.taken(batch.rows, grows(guard));
    } else {
      guard->sampling.passed();
      if (failed || guard->history.added() % kLookEvery != 0) return;
    }
    guard->growth = find_growth(guard->history.samples());
    if (!grows(guard)) guard->sampling.growing = false;
    renew_warning(guard);
  });
}

const char* guard_warning(const JobGuard* guard) { return guard->warning; }

}  // namespace conveyor
