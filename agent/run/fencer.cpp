#include "run/fencer.hpp"

#include <algorithm>
#include <iterator>

namespace conveyor {

void Fencer::fence(std::uint64_t least, std::uint64_t newest_delete, std::vector<std::string> delete_keys) {
  auto mine = std::make_shared<Waiter>(Waiter{least, newest_delete, std::move(delete_keys), false, nullptr});
  std::unique_lock lock(mutex_);
  waiting_.push_back(mine);
  served_.wait(lock, [&] { return mine->done || !busy_; });
  if (!mine->done) {
    busy_ = true;
    std::vector<std::shared_ptr<Waiter>> group;
    group.swap(waiting_);
    lock.unlock();
    std::exception_ptr error;
    try {
      serve(group);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    busy_ = false;
    for (auto& waiter : group) {
      waiter->done = true;
      waiter->error = error;
    }
    served_.notify_all();
  }
  if (mine->error) std::rethrow_exception(mine->error);
}

void Fencer::serve(const std::vector<std::shared_ptr<Waiter>>& waiters) {
  std::uint64_t least = UINT64_MAX, newest_delete = 0;
  std::vector<std::string> delete_keys;
  for (const auto& waiter : waiters) {
    least = std::min(least, waiter->least);
    newest_delete = std::max(newest_delete, waiter->newest_delete);
    std::move(waiter->delete_keys.begin(), waiter->delete_keys.end(), std::back_inserter(delete_keys));
  }
  // The ledger keeps a delete until everything older than its version is settled: a later version than its own only
  // keeps it longer. The sender's oldest version must not be later than what is sent.
  if (delete_keys.empty() || least < newest_delete) store_.fence(least, {});
  if (!delete_keys.empty()) store_.fence(newest_delete, delete_keys);
}

}  // namespace conveyor
