#include "run/spec.hpp"

#include <algorithm>
#include <set>
#include <sstream>

namespace conveyor {

namespace {

std::string required(const json_t* object, const char* name) {
  std::string value = string_member(object, name);
  if (value.empty()) throw std::runtime_error(std::string("the database's answer lacks \"") + name + "\"");
  return value;
}

Column parse_column(const json_t* object) {
  return {required(object, "name"), required(object, "type"), boolean_member(object, "array")};
}

Request parse_request(const json_t* object) {
  return {integer_member(object, "id"), required(object, "kind"),          string_member(object, "phase"),
          required(object, "state"),    string_member(object, "at_least"), boolean_member(object, "untouched")};
}

Rebuild parse_rebuild(const json_t* object) {
  if (!json_is_object(object)) return {};
  return {required(object, "state"), boolean_member(object, "beside"), string_member(object, "index"),
          string_member(object, "other"), boolean_member(object, "named")};
}

}  // namespace

DeliverySpec parse_delivery(const json_t* object) {
  DeliverySpec spec;
  spec.delivery = required(object, "delivery");
  spec.lease = integer_member(object, "lease");
  spec.feed = required(object, "feed");
  spec.target = required(object, "target");
  spec.kind = required(object, "kind");
  spec.destination = required(object, "destination");
  spec.state = required(object, "state");
  spec.options = text_member(object, "options");
  spec.target_options = text_member(object, "target_options");
  spec.secret = string_member(object, "secret", spec.target);
  spec.index = text_member(object, "index");
  spec.dead_letters = integer_member(object, "dead_letters");
  spec.cursor = string_member(object, "cursor");
  spec.epoch = integer_member(object, "epoch");
  spec.orphans = boolean_member(object, "orphans");
  spec.known_as = string_member(object, "known_as", spec.delivery);
  spec.rebuild = parse_rebuild(json_object_get(object, "rebuild"));
  std::size_t i;
  const json_t* item;
  json_array_foreach(json_object_get(object, "columns"), i, item) spec.columns.push_back(parse_column(item));
  json_array_foreach(json_object_get(object, "requests"), i, item) spec.requests.push_back(parse_request(item));

  const json_t* options = json_object_get(object, "options");
  const auto milliseconds = [&](const char* name, std::chrono::milliseconds otherwise) {
    return std::chrono::milliseconds(std::max<std::int64_t>(1, integer_member(options, name, otherwise.count())));
  };
  const auto count = [&](const char* name, int otherwise) {
    return static_cast<int>(std::max<std::int64_t>(1, integer_member(options, name, otherwise)));
  };
  spec.batch_bytes = static_cast<std::size_t>(
      std::max<std::int64_t>(1, integer_member(options, "batch_bytes", static_cast<std::int64_t>(spec.batch_bytes))));
  spec.in_flight = count("in_flight", spec.in_flight);
  spec.job_lists = count("job_lists", spec.job_lists);
  spec.max_attempts = count("max_attempts", spec.max_attempts);
  spec.rate = std::max(0.0, number_member(options, "rate", 0));
  spec.fetch_timeout = milliseconds("fetch_timeout", spec.fetch_timeout);
  spec.retry_delay = milliseconds("retry_delay", spec.retry_delay);
  spec.max_retry_delay = milliseconds("max_retry_delay", spec.max_retry_delay);
  return spec;
}

bool DeliverySpec::filling() const {
  return std::ranges::any_of(
      requests, [](const Request& r) { return r.phase == "fill" && r.kind != "keys" && r.kind != "compare"; });
}

bool DeliverySpec::about_to_fill() const {
  return std::ranges::any_of(requests, [](const Request& r) { return r.open() && r.untouched; });
}

std::uint64_t version_of(const std::string& snapshot, std::int64_t epoch) {
  std::set<std::string> running;
  const auto last = snapshot.rfind(':');
  std::string xip;
  std::istringstream list(last == std::string::npos ? std::string() : snapshot.substr(last + 1));
  while (std::getline(list, xip, ','))
    if (!xip.empty()) running.insert(xip);
  return (static_cast<std::uint64_t>(epoch) << 48) | (snapshot_xmax(snapshot) - running.size());
}

std::uint64_t snapshot_xmax(const std::string& snapshot) {
  const auto colon = snapshot.find(':');
  return colon == std::string::npos ? 0 : std::strtoull(snapshot.c_str() + colon + 1, nullptr, 10);
}

}  // namespace conveyor
