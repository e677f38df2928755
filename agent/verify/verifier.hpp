// `conveyor verify`: a delivery's documents against those of its target, and their repair.
//
//   compare  range by range of the key, several at once: hashes of the documents here, the documents there
//   sweep    what the ranges could not show: documents of the target that no range has
//   settle   what seemed to differ is looked at again, once the delivery has come past that (second_look.hpp)
//   repair   what differs is sent again by the agent that runs the delivery, and looked at once more
//
// How far it is stands in the database: a run that is killed is taken up by the next.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "decide/token_bucket.hpp"
#include "target/target.hpp"
#include "verify/verification.hpp"

namespace conveyor {

struct VerifyOptions {
  std::string database;  // conninfo
  std::string delivery;
  bool repair = false, anew = false;
  int connections = 2;                           // ranges compared at once
  double rate = 0;                               // documents/s; 0: as fast as it goes
  Duration patience = std::chrono::seconds(60);  // with a target, or a delivery, that does not come on
};

// For people, while it works; and at the end.
struct VerifyProgress {
  std::string phase;
  std::int64_t documents = 0, total = -1;  // of this and earlier runs; negative: unknown
  std::int64_t documents_now = 0;          // of this run
  double seconds = 0;                      // of this run
  std::int64_t suspected = 0, looked = 0;  // noted so far; looked at again
  int moving = 0;
};

// The target, or the delivery, stands in the way: not a mistake of ours, and no difference.
class VerifyTrouble : public std::runtime_error {
 public:
  VerifyTrouble(const std::string& reason, bool unreachable_) : std::runtime_error(reason), unreachable(unreachable_) {}
  bool unreachable;  // else something that a person must change
};

class Verifier {
 public:
  // Throws DatabaseError, VerifyTrouble.
  explicit Verifier(VerifyOptions options);
  ~Verifier();

  // To the end. Throws DatabaseError, VerifyTrouble, Stopped.
  void run();
  // From another thread.
  void stop() { stop_.request_stop(); }
  VerifyProgress progress() const;

  std::string user() const { return control_.user(); }
  // After run(): gives every difference to `take`.
  void differences(const std::function<void(const NotedKey&)>& take);
  // After differences(): the verification is over.
  void finish() { control_.finish(); }

 private:
  void compare();
  void compare_ranges(Verification& here);
  std::size_t compare_range(Verification& here, const Range& range);
  void sweep();
  void settle();
  void repair();
  std::vector<NotedKey> repair(const std::vector<NotedKey>& differences, std::int64_t ahead);
  void look(const std::vector<std::string>& keys, const std::function<void(std::vector<Verdict>)>& decided);
  void await(const std::function<bool()>& reached, const std::string& what);

  void enter(const std::string& phase);
  void note(Verification& here, std::optional<int> range, std::size_t documents, const std::vector<std::string>& keys);
  void read(const ReadBack& wanted, const std::function<void(const StoredDocument&)>& take);
  // Until it does not fail any more, or patience is over.
  template <typename Call>
  auto insist(Call call);
  void keep_rate(std::size_t documents);
  void rest(Duration duration);

  const VerifyOptions options_;
  std::stop_source stop_;
  Verification control_;
  VerificationPlan plan_;
  std::unique_ptr<Target> target_;
  Destination destination_;
  bool by_range_ = false;  // else by ids

  mutable std::mutex mutex_;  // for everything below
  VerifyProgress progress_;
  Time began_, noted_;
  std::uint64_t bytes_ = 0, documents_read_ = 0;
  TokenBucket bucket_;
  std::exception_ptr failure_;
};

}  // namespace conveyor
