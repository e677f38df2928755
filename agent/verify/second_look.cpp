#include "verify/second_look.hpp"

#include <utility>

namespace conveyor {

namespace {

constexpr int looks_at_copy = 2, looks_at_none = 3;
constexpr int most_looks = 30;

bool same_copy(const Copy& a, const Copy& b) {
  if (!a.exists || !b.exists) return a.exists == b.exists;
  return a.version == b.version && a.sequence == b.sequence && a.content == b.content;
}

bool equal(const Original& here, const Copy& there) {
  if (!there.routing.empty() || !here.refusal.empty()) return false;
  return here.exists == there.exists && (!here.exists || here.content == there.content);
}

}  // namespace

SecondLook::SecondLook(const std::vector<std::string>& keys) {
  for (const std::string& key : keys) documents_[key];
}

std::vector<std::string> SecondLook::open() const {
  std::vector<std::string> keys;
  for (const auto& [key, document] : documents_) keys.push_back(key);
  return keys;
}

void SecondLook::original(const std::string& key, Original original) {
  if (const auto found = documents_.find(key); found != documents_.end()) found->second.here = std::move(original);
}

// Of two with one id, the one that deliveries cannot reach is the one to know of.
void SecondLook::copy(const std::string& key, Copy copy) {
  const auto found = documents_.find(key);
  if (found == documents_.end()) return;
  if (found->second.there.exists && copy.routing.empty()) return;
  found->second.there = std::move(copy);
}

void SecondLook::look_over() {
  for (auto at = documents_.begin(); at != documents_.end();) {
    Document& document = at->second;
    document.looks = document.all > 0 && same_copy(document.there, document.before) ? document.looks + 1 : 1;
    ++document.all;
    std::optional<Verdict> verdict = judge(at->first, document);
    if (!verdict && document.all >= most_looks) {
      ++moving_;
      verdict = Verdict{at->first, {}, 0, {}};
    }
    if (verdict) {
      verdicts_.push_back(std::move(*verdict));
      at = documents_.erase(at);
      continue;
    }
    document.before = std::exchange(document.there, {});
    document.here = {};
    ++at;
  }
}

std::optional<Verdict> SecondLook::judge(const std::string& key, const Document& document) {
  const auto& [here, there, before, looks, all] = document;
  if (equal(here, there)) return Verdict{key, {}, 0, {}};
  if (!here.exists && !there.exists && here.refusal.empty()) return Verdict{key, {}, 0, {}};
  if (looks < (there.exists ? looks_at_copy : looks_at_none)) return std::nullopt;
  Verdict verdict{key, {}, there.version, {}};
  verdict.kind = !there.exists ? "missing" : here.exists || !here.refusal.empty() ? "different" : "extra";
  if (!here.refusal.empty())
    verdict.detail = "cannot be delivered: " + here.refusal;
  else if (!there.routing.empty())
    verdict.detail = "stored with routing " + there.routing + ", where deliveries do not reach it: delete it by hand";
  return verdict;
}

std::vector<Verdict> SecondLook::take_verdicts() { return std::exchange(verdicts_, {}); }

}  // namespace conveyor
