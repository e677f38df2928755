// A queue in which no owner waits for another's backlog: owners take turns, each in its own order. Not thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <string>
#include <utility>

namespace conveyor {

template <typename T>
class FairQueue {
 public:
  void push(const std::string& owner, T value) { place(owner).push_back(std::move(value)); }
  // Before what this owner has waiting.
  void push_front(const std::string& owner, T value) { place(owner).push_front(std::move(value)); }

  bool empty() const { return turns_.empty(); }

  // The next one of the owner whose turn it is. Not when empty.
  T pop() {
    const std::string owner = std::move(turns_.front());
    turns_.pop_front();
    const auto found = waiting_.find(owner);
    T value = std::move(found->second.front());
    found->second.pop_front();
    if (found->second.empty())
      waiting_.erase(found);
    else
      turns_.push_back(owner);
    return value;
  }

 private:
  std::deque<T>& place(const std::string& owner) {
    std::deque<T>& waiting = waiting_[owner];
    if (waiting.empty()) turns_.push_back(owner);
    return waiting;
  }

  std::map<std::string, std::deque<T>> waiting_;  // never an empty deque
  std::deque<std::string> turns_;                 // each owner of waiting_ once
};

}  // namespace conveyor
