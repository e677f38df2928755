// The functions of sql/75_verification.sql, and what a verification reads here. One connection; one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "postgres/connection.hpp"
#include "run/store.hpp"
#include "verify/second_look.hpp"

namespace conveyor {

// What verification_begin() says.
struct VerificationPlan {
  std::int64_t id = 0, runner = 0;
  bool resumed = false, repair = false;
  std::string phase, at_least;
  std::int64_t documents = 0, documents_total = -1;  // of earlier runs; an estimate, negative: unknown
  std::string delivery, kind, target, destination, index, target_options, secret;
  std::vector<std::string> key, key_types;
};

// A key that was noted, and what is known of it.
struct NotedKey {
  std::int64_t number = 0;
  std::string key, kind, detail;
  std::int64_t version = 0;
  bool repaired = false;
};

class Verification {
 public:
  Verification(const std::string& conninfo, std::stop_token stop);

  VerificationPlan begin(const std::string& delivery, bool anew, bool repair);
  // Works on what another connection has begun.
  void join(const VerificationPlan& plan) { plan_ = plan; }

  std::optional<Range> claim(int documents);
  // `range`: it has been compared; nothing: only keys are noted.
  void note(std::optional<int> range, std::size_t documents, const std::vector<std::string>& suspects, double seconds);
  void enter(const std::string& phase);
  std::vector<NotedKey> noted(bool settled, std::int64_t after, int keys);
  void settle(const std::vector<Verdict>& verdicts);
  std::int64_t resync(const std::vector<std::string>& keys, std::int64_t above);
  // open, paused, finished, cancelled, failed; empty: there is no such request.
  std::string request_state(std::int64_t request);
  void finish();

  bool delivered(const std::string& upto);
  std::int64_t present_version();
  // Why the delivery stands still, for people.
  std::string condition();

  // The hashes of the documents of a range.
  void contents(const Range& range, const std::function<void(const std::string& key, std::uint64_t content)>& document,
                const std::function<void(const std::string& key)>& refused);
  // Documents by their keys; returns the snapshot that they were read in.
  std::string originals(const std::vector<std::string>& keys,
                        const std::function<void(const std::string& key, Original)>& document);
  std::vector<std::string> absent(const std::vector<std::string>& keys);

  std::string user() const { return connection_.user(); }

 private:
  Parameters parameters(std::initializer_list<std::optional<std::string>> more) const;
  // Gives each record to `take`; the answer must be whole.
  template <typename Take>
  void stream(const Statement& statement, const Parameters& parameters, Take take);

  Connection connection_;
  VerificationPlan plan_;
};

}  // namespace conveyor
