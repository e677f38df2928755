// "Deliver these keys" and "deliver this range": what every piece of work comes down to. Finds out which documents the
// view cannot make, and reads again what became too old to be sent. Used by one thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "postgres/error.hpp"
#include "run/shipment.hpp"

namespace conveyor {

class Carrier {
 public:
  // `given_up`: as Shipment takes it.
  explicit Carrier(Lane& lane, Errand errand = Errand::live, const std::atomic<bool>* given_up = nullptr)
      : lane_(lane), given_up_(given_up), shipment_(lane, errand, given_up) {}

  // Reads and sends; what was sent is settled by settle() only. `at_least`: the snapshot that every read must contain.
  // Throws what Shipment throws, and DatabaseError where it is not about single documents.
  void keys(const std::vector<std::string>& keys, const std::string& at_least);
  void range(const Range& range);
  // Everything that was given is with the target, in the dead letters or superseded when this returns; as long as it
  // takes.
  void settle();
  // Something has to be read again: read no more before it has been settled.
  bool behind() const { return shipment_.behind(); }

  Checkpoint take_checkpoint() { return shipment_.take_checkpoint(); }
  // True when so much must be recorded that it should not wait for the end of the piece of work.
  bool checkpoint_due() const;
  std::int64_t handled() const { return handled_; }

 private:
  void fetch(const std::vector<std::string>& keys, const std::string& at_least);
  void one_by_one(const Range& range);
  void rest(Duration duration);

  Lane& lane_;
  const std::atomic<bool>* given_up_;
  Shipment shipment_;
  std::string at_least_;
  std::int64_t handled_ = 0;  // keys that were given, or found in ranges
};

// The keys of an answer of range_keys() or absent_keys(), page by page; `page` is called with at most `size` of them.
template <typename Page>
void read_keys(Answer& answer, std::size_t size, Page page) {
  FrameReader frames;
  std::vector<std::string> keys;
  std::string_view frame;
  while (answer.next(frame)) {
    frames.open(frame);
    for (Record record; frames.next(record);) {
      if (record.kind != 'k') continue;
      keys.emplace_back(record.key);
      if (keys.size() >= size) page(std::exchange(keys, {}));
    }
  }
  if (!frames.complete()) throw std::runtime_error("the database's answer is not whole: " + frames.problem());
  if (!keys.empty()) page(std::move(keys));
}

}  // namespace conveyor
