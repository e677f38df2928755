// The documents of one piece of work on their way to the target: filled into bodies bounded in bytes, fenced, sent
// several at once, settled item by item, counted for the checkpoint.
//
// Used by one thread, which also deals with the answers, between two documents and in settle(). It may be destroyed
// with requests under way: their versions stay open until their answers are there.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "decide/backoff.hpp"
#include "decide/frame.hpp"
#include "run/lane.hpp"

namespace conveyor {

class Shipment {
 public:
  // `given_up`: set when the piece of work that this is a part of has failed elsewhere.
  explicit Shipment(Lane& lane, Errand errand, const std::atomic<bool>* given_up = nullptr);
  ~Shipment();

  // Takes over everything that an answer of fetch_keys() or fetch_range() says. Throws std::runtime_error when the
  // answer was cut off, Held when the target refuses for good, TargetStalled when it takes nothing for long, and what
  // the answer's database throws.
  void read(Answer& answer);
  // A document that the database cannot make.
  void reject(DeadLetter letter);
  // Waits until everything has been answered for good. Throws as read() does, LeftIncomplete when the lane winds down
  // while the target does not take it.
  void settle();

  // Keys whose documents have become too old to be sent again: to be read again.
  std::vector<std::string> take_again();
  bool behind() const { return !again_.empty(); }
  // What has been settled since the last call. Only after settle().
  Checkpoint take_checkpoint();
  std::size_t dead_letters() const { return dead_.size(); }
  std::size_t revived() const { return revived_.size(); }
  std::int64_t records() const { return records_; }
  // Time that reading stood still because the target took nothing.
  Duration stalled() const { return stalled_; }

 private:
  struct Parcel;
  struct Arrival;
  struct Inbox;

  void header(const Record& record);
  void make_room(std::size_t bytes, std::uint64_t version);
  void dispatch();
  void fence(const Parcel& parcel);
  void launch(std::shared_ptr<Parcel> parcel);
  bool may_launch(std::size_t documents);
  void stall(Time from, Duration most);
  std::size_t waiting_to_go() const;
  void send_waiting();
  void handle_arrivals();
  void handle(Arrival arrival);
  void resend(const Parcel& parcel, const std::vector<std::size_t>& items, bool split, const std::string& reason);
  void read_again(const Parcel& parcel);
  bool failed_too_often(std::string_view key);
  void wait(Duration most);
  void check_stop();

  Lane& lane_;
  const Errand errand_;
  const std::atomic<bool>* given_up_;
  std::shared_ptr<Inbox> inbox_;
  std::shared_ptr<Parcel> filling_;
  std::deque<std::shared_ptr<Parcel>> waiting_;  // to be sent, each at its time
  int blocked_at_ = 0;  // requests in flight when there was no place for one more; 0: there was
  std::size_t under_way_ = 0;
  std::uint64_t version_ = 0;  // of the answer that is being read
  Time read_at_{};
  bool fenced_ = true;  // no snapshot has been read since the last fence
  Counts counts_;
  std::vector<DeadLetter> dead_;
  std::vector<std::string> revived_, again_;
  std::int64_t records_ = 0;
  std::map<std::string, int, std::less<>> lone_failures_;  // attempts of documents that failed where others did not
  Duration stalled_{0};
};

}  // namespace conveyor
