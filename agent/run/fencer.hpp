// The fence before the first send of what was read in a snapshot (docs/design.md, section 2, condition 4).
//
// Like a group commit: whoever waits while a fence is under way is served by the next one, all of them together. A
// fence that began after a snapshot was taken serves it. Any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "run/store.hpp"

namespace conveyor {

class Fencer {
 public:
  explicit Fencer(Store& store) : store_(store) {}

  // Returns when a fence that began after the call has been committed. `least`: the least version among what will be
  // sent; `delete_keys` were found absent in snapshots of versions up to `newest_delete`.
  void fence(std::uint64_t least, std::uint64_t newest_delete, std::vector<std::string> delete_keys);

 private:
  struct Waiter {
    std::uint64_t least, newest_delete;
    std::vector<std::string> delete_keys;
    bool done = false;
    std::exception_ptr error;
  };

  void serve(const std::vector<std::shared_ptr<Waiter>>& waiters);

  Store& store_;
  std::mutex mutex_;
  std::condition_variable served_;
  bool busy_ = false;
  std::vector<std::shared_ptr<Waiter>> waiting_;
};

}  // namespace conveyor
