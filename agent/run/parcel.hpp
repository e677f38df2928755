// One body of documents between Shipment and target. Private to shipment*.cpp.
#pragma once

#include <deque>
#include <memory>

#include "decide/backoff.hpp"
#include "run/lane.hpp"
#include "run/shipment.hpp"

namespace conveyor {

struct Shipment::Parcel {
  Parcel(Lane& lane, std::uint64_t version)
      : versions(lane.versions),
        id(lane.versions->open(version)),
        reservation(lane.budget),
        least(version),
        backoff(lane.limits().retry_delay, lane.limits().max_retry_delay, reinterpret_cast<std::uintptr_t>(this)) {}
  Parcel(const Parcel&) = delete;
  Parcel& operator=(const Parcel&) = delete;
  ~Parcel() { versions->settle(id); }

  std::shared_ptr<Versions> versions;
  Versions::Id id;  // open as long as the parcel exists, and longer when a request of it got no answer
  Reservation reservation;
  std::shared_ptr<Body> body = std::make_shared<Body>();
  std::uint64_t least;  // the least version in it
  Time read_at{};       // when the oldest document in it was read
  int attempts = 0;
  Backoff backoff;
  Time not_before{};
};

struct Shipment::Arrival {
  std::shared_ptr<Parcel> parcel;
  SendResult result;
};

struct Shipment::Inbox {
  std::deque<Arrival> arrivals;  // under the exchange's mutex
};

}  // namespace conveyor
