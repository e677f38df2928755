// The functions of docs/internals.md, sections 1 and 3, that work on one delivery.
#pragma once

#include <atomic>

#include "postgres/pool.hpp"
#include "run/store.hpp"

namespace conveyor {

class PostgresStore : public Store {
 public:
  // `stop` ends every wait: the lease is gone, or the agent leaves.
  PostgresStore(Pool& pool, std::string delivery, std::int64_t lease, std::string target, std::stop_token stop);

  std::unique_ptr<Answer> window_keys() override;
  std::unique_ptr<Answer> fetch_keys(const std::vector<std::string>& keys, const std::string& at_least) override;
  std::unique_ptr<Answer> fetch_range(const Range& range) override;
  std::unique_ptr<Answer> range_keys(const Range& range) override;
  std::unique_ptr<Answer> absent_keys(const std::vector<std::string>& keys, const std::string& at_least) override;
  void fence(std::uint64_t version, const std::vector<std::string>& delete_keys) override;
  void advance(const std::string& until, const Checkpoint& checkpoint) override;
  std::optional<Range> range_claim(std::int64_t request) override;
  std::string range_finish(std::int64_t request, int range, std::int64_t keys, const Checkpoint& checkpoint) override;
  void sweep_finish(std::int64_t request) override;
  RequestedKeys request_keys(std::int64_t request, std::int64_t after, int keys) override;
  void request_keys_done(std::int64_t request, std::int64_t upto, const Checkpoint& checkpoint) override;
  std::vector<std::string> orphan_keys(int keys) override;
  void orphans_settled(const std::vector<std::string>& keys) override;
  void renew_lease() override;
  void mark_stale(const std::string& reason) override;
  void hold(const std::string& reason) override;
  void store_index(const std::string& index) override;
  std::optional<Turning> rebuild_next() override;
  void rebuild_turned() override;
  void set_fetch_timeout(std::chrono::milliseconds timeout) override { fetch_timeout_ = timeout; }

 private:
  Rows call(const Statement& statement, Parameters parameters);
  std::unique_ptr<Answer> documents(const Statement& statement, const Parameters& parameters);
  std::unique_ptr<Answer> keys(const Statement& statement, const Parameters& parameters,
                               std::chrono::milliseconds timeout);

  Pool& pool_;
  const std::string delivery_, lease_, target_;
  const std::stop_token stop_;
  std::atomic<std::chrono::milliseconds> fetch_timeout_{std::chrono::milliseconds(60'000)};
};

}  // namespace conveyor
