// The targets of the whole process: deliveries that send to one place share its connections and budgets, whichever
// database they belong to. Any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "run/budget.hpp"
#include "target/target.hpp"

namespace conveyor {

struct SharedTarget {
  SharedTarget(std::unique_ptr<Target> place, std::size_t bytes) : budget(bytes), target(std::move(place)) {}
  ByteBudget budget;  // outlives the requests that the target has under way
  std::unique_ptr<Target> target;
  std::string options;  // as last told; under the registry's mutex
};

class TargetRegistry {
 public:
  // `bytes`: of documents in memory, over all targets.
  explicit TargetRegistry(std::size_t bytes) : bytes_(bytes) {}

  // The place that these options describe. Options that only say how to use it change it for everyone.
  Result<std::shared_ptr<SharedTarget>> find(const std::string& kind, const std::string& options,
                                             const std::string& secret);
  void set_bytes(std::size_t bytes);

 private:
  void share();

  std::mutex mutex_;
  std::size_t bytes_;
  std::map<std::string, std::weak_ptr<SharedTarget>> places_;
};

}  // namespace conveyor
