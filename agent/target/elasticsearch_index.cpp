// The calls that may block: making the index and its aliases, ending a fill, removing.
#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

#include "decide/bulk_answer.hpp"
#include "decide/mapping.hpp"
#include "decide/outcome.hpp"
#include "target/elasticsearch.hpp"
#include "target/elasticsearch_names.hpp"

namespace conveyor {

namespace {

constexpr int attempts_to_create = 3;

// Aliases may have capitals, indices may not.
std::string first_index(std::string name) {
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return name + "-000001";
}

struct Stored {
  std::string index, uuid;
  bool filling = false;
  Json restore;  // an object; empty when there is nothing to restore
};

Stored read_stored(const IndexState& state) {
  const Json json = parse_json(state);
  Stored stored{text_of(json.get(), "name"), text_of(json.get(), "uuid"),
                json_is_true(json_object_get(json.get(), "filling")), nullptr};
  json_t* restore = json_object_get(json.get(), "restore");
  if (json_is_object(restore) && json_object_size(restore) > 0) stored.restore.reset(json_incref(restore));
  return stored;
}

IndexState write_stored(const std::string& index, const std::string& uuid, bool filling, const json_t* restore) {
  const Json json(json_object());
  json_object_set_new(json.get(), "name", json_text(index).release());
  json_object_set_new(json.get(), "uuid", json_text(uuid).release());
  json_object_set_new(json.get(), "filling", json_boolean(filling));
  json_object_set_new(json.get(), "restore", restore ? json_deep_copy(restore) : json_object());
  return to_text(json.get());
}

std::string index_options(const Destination& destination) {
  const Json options = parse_json(destination.options);
  const json_t* index = json_object_get(options.get(), "index");
  return index && !json_is_null(index) ? to_text(index) : "{}";
}

const std::string& known_as(const Destination& destination) {
  return destination.known_as.empty() ? destination.delivery : destination.known_as;
}

template <typename T>
Result<T> fail(Outcome outcome, std::string reason) {
  return {std::nullopt, {outcome, std::move(reason)}};
}

}  // namespace

// No value inside: there is no such index. One that is there and not ours is a Failure.
Result<std::optional<Elasticsearch::Found>> Elasticsearch::look(const Destination& destination,
                                                                const std::string& index) {
  Result<Answer> answer = ask("GET", look_path(index));
  if (!answer) return {std::nullopt, answer.failure};
  if (answer.value->status == 404) return {std::optional<Found>(), {}};
  if (answer.value->status != 200)
    return {std::nullopt, failure_of(*answer.value, fmt::format("look at index \"{}\"", index))};
  const Json json = parse_json(answer.value->body);
  if (!is_ours(json.get(), index, destination.origin))
    return fail<std::optional<Found>>(Outcome::hold, not_ours(index, destination.delivery));
  json_t* aliases = json_object_get(json_object_get(json.get(), index.c_str()), "aliases");
  Found found;
  found.uuid = uuid_of(json.get(), index);
  found.has_name = json_object_get(aliases, destination.name.c_str()) != nullptr;
  found.has_write = json_object_get(aliases, write_alias(index).c_str()) != nullptr;
  found.aliases.reset(aliases ? json_incref(aliases) : json_object());
  return {std::optional<Found>(std::move(found)), {}};
}

// The indices that the destination's name leads to: none or ours are right, everything else is a Failure.
Result<std::vector<std::string>> Elasticsearch::named_indices(const Destination& destination) {
  using Names = std::vector<std::string>;
  Result<Answer> answer = ask("GET", "/" + url_segment(destination.name) + "/_alias");
  if (!answer) return {std::nullopt, answer.failure};
  if (answer.value->status == 404) return {Names(), {}};
  if (answer.value->status != 200)
    return {std::nullopt, failure_of(*answer.value, fmt::format("look at alias \"{}\"", destination.name))};
  const Json found = parse_json(answer.value->body);
  Names names;
  const char* name;
  json_t* value;
  json_object_foreach(found.get(), name, value) {
    names.emplace_back(name);
    if (name == destination.index || name == destination.other) continue;
    const std::string object = name == destination.name
                                   ? fmt::format("an index named \"{}\"", name)
                                   : fmt::format("alias \"{}\", which names index \"{}\",", destination.name, name);
    return fail<Names>(
        Outcome::hold,
        fmt::format(
            "{} is already in the target and was not made by this delivery; create the delivery anew with another "
            "destination, or delete or rename it, then run: SELECT conveyor.resume_delivery({})",
            object, sql_literal(destination.delivery)));
  }
  return {std::move(names), {}};
}

Result<IndexState> Elasticsearch::prepare(Destination& destination, const IndexState& stored, bool will_fill) {
  const Stored known = read_stored(stored);
  const std::string first = destination.planned.empty() ? first_index(destination.name) : destination.planned;
  const std::string index = destination.index = known.index.empty() ? first : known.index;
  const Result<std::vector<std::string>> names = named_indices(destination);
  if (!names) return {std::nullopt, names.failure};
  // The name is never taken away from the other index here, nor given to both: going over is lead_name()'s.
  const bool named = destination.named && std::ranges::count(*names.value, destination.other) == 0;
  IndexState made;  // not empty: by this call
  for (int attempt = 1; attempt <= attempts_to_create; ++attempt) {
    const Result<std::optional<Found>> there = look(destination, index);
    if (!there) return {std::nullopt, there.failure};
    const std::optional<Found>& found = *there.value;
    if (!found) {
      // What was checkpointed went to the index that is gone: no fill may go on in a new one.
      if (!known.index.empty() && !will_fill)
        return fail<IndexState>(Outcome::hold, missing(index, destination.delivery));
      Result<IndexState> created = create(destination, index, named, will_fill);
      if (!created && !created.failure.reason.empty()) return created;
      // Look again: for its uuid, or, where someone was quicker, whose it is.
      made = created ? *created.value : IndexState();
      continue;
    }
    if (made.empty() && !will_fill && !known.uuid.empty() && known.uuid != found->uuid)
      return fail<IndexState>(Outcome::hold, replaced(index, destination.delivery));
    if (!found->has_write || (named && !found->has_name)) {
      const Result<bool> added = add_aliases(destination, index, named);
      if (!added) return {std::nullopt, added.failure};
    }
    Result<IndexState> state{made.empty() ? stored : made, {}};
    if (made.empty() && known.index.empty()) state = adopt(destination, index, will_fill);
    if (!state) return state;
    const Stored now = read_stored(*state.value);
    client_.post([this, index, uuid = found->uuid] { checked_[index].uuid = uuid; });
    return {write_stored(index, found->uuid, now.filling, now.restore.get()), {}};
  }
  return fail<IndexState>(Outcome::retry, fmt::format("index \"{}\" comes and goes in the target", index));
}

// Index and aliases in one request: there is never one without the others. A Failure without a reason: it exists
// already.
Result<IndexState> Elasticsearch::create(const Destination& destination, const std::string& index, bool named,
                                         bool will_fill) {
  IndexPlan plan;
  try {
    plan = plan_index(destination.columns, index_options(destination),
                      {named ? destination.name : std::string(), write_alias(index)}, destination.origin,
                      known_as(destination), will_fill);
  } catch (const std::invalid_argument& bad) {
    return fail<IndexState>(Outcome::hold, bad.what());
  }
  Result<Answer> answer = ask("PUT", "/" + url_segment(index), plan.create);
  if (!answer) return {std::nullopt, answer.failure};
  if (answer.value->type == "resource_already_exists_exception") return fail<IndexState>(Outcome::retry, {});
  if (answer.value->status != 200)
    return {std::nullopt, failure_of(*answer.value, fmt::format("create index \"{}\"", index))};
  return {write_stored(index, {}, will_fill, parse_json(plan.restore).get()), {}};
}

// Our mark, but no stored state: made just before the agent died, or left by an earlier delivery of this name. Only the
// former is empty, and documents of the latter would stay for ever.
Result<IndexState> Elasticsearch::adopt(const Destination& destination, const std::string& index, bool will_fill) {
  Result<Answer> refreshed = ask("POST", "/" + url_segment(index) + "/_refresh");
  if (!refreshed) return {std::nullopt, refreshed.failure};
  Result<Answer> counted = ask("GET", "/" + url_segment(index) + "/_count?filter_path=count,_shards.failed");
  if (!counted) return {std::nullopt, counted.failure};
  const Json json = parse_json(counted.value->body);
  const json_t* count = json_object_get(json.get(), "count");
  const json_t* failed = json_object_get(json_object_get(json.get(), "_shards"), "failed");
  if (counted.value->status != 200 || !json_is_integer(count) || json_integer_value(failed) != 0)
    return {std::nullopt, failure_of(*counted.value, fmt::format("count the documents of index \"{}\"", index))};
  if (json_integer_value(count) > 0)
    return fail<IndexState>(
        Outcome::hold,
        fmt::format("index \"{}\" in the target has {} documents of an earlier delivery of this name; delete it, "
                    "or create the delivery anew with another destination, then run: SELECT "
                    "conveyor.resume_delivery({})",
                    index, json_integer_value(count), sql_literal(destination.delivery)));
  try {
    const IndexPlan plan = plan_index(destination.columns, index_options(destination), {}, destination.origin,
                                      known_as(destination), true);
    // It may have been made for a fill; if there is none now, what was set aside for it comes back at once.
    const IndexState state = write_stored(index, {}, true, parse_json(plan.restore).get());
    return will_fill ? Result<IndexState>{state, {}} : finish_fill(destination, state);
  } catch (const std::invalid_argument& bad) {
    return fail<IndexState>(Outcome::hold, bad.what());
  }
}

Result<bool> Elasticsearch::add_aliases(const Destination& destination, const std::string& index, bool named) {
  const Json actions(json_array());
  json_array_append_new(actions.get(), add_alias(index, write_alias(index), json_pack("{s:b}", "is_hidden", 1)));
  if (named) json_array_append_new(actions.get(), add_alias(index, destination.name, json_object()));
  return change_aliases(actions.get(), fmt::format("point alias \"{}\" to index \"{}\"", destination.name, index));
}

Result<IndexState> Elasticsearch::finish_fill(const Destination& destination, const IndexState& stored) {
  const Stored known = read_stored(stored);
  const std::string index = known.index.empty() ? destination.index : known.index;
  if (known.restore) {
    Result<Answer> set = ask("PUT", "/" + url_segment(index) + "/_settings", to_text(known.restore.get()));
    if (!set) return {std::nullopt, set.failure};
    if (set.value->status == 404) return fail<IndexState>(Outcome::hold, missing(index, destination.delivery));
    if (set.value->status != 200)
      return {std::nullopt, failure_of(*set.value, fmt::format("restore the settings of index \"{}\"", index))};
  }
  if (known.filling || known.restore) {
    Result<Answer> refreshed = ask("POST", "/" + url_segment(index) + "/_refresh");
    if (!refreshed) return {std::nullopt, refreshed.failure};
    if (refreshed.value->status != 200)
      return {std::nullopt, failure_of(*refreshed.value, fmt::format("refresh index \"{}\"", index))};
  }
  return {write_stored(index, known.uuid, false, nullptr), {}};
}

Result<bool> Elasticsearch::remove_destination(const Destination& destination, const IndexState& stored) {
  const Stored known = read_stored(stored);
  const std::string index = known.index.empty() ? first_index(destination.name) : known.index;
  const Result<std::optional<Found>> there = look(destination, index);
  if (!there) return {std::nullopt, there.failure};
  // One that has been made under its name since is somebody's.
  if (!*there.value || (!known.uuid.empty() && known.uuid != (*there.value)->uuid)) return {false, {}};
  if (!destination.other.empty()) {
    const Result<std::optional<Found>> survivor = look(destination, destination.other);
    if (!survivor) return {std::nullopt, survivor.failure};
    const Result<bool> led =
        *survivor.value ? lead_name(destination, destination.other, index) : Result<bool>{false, {}};
    if (!led) return led;
    if (*led.value)  // their searches under way come to their end before the next attempt
      return fail<bool>(Outcome::retry, fmt::format("readers have just been led away from index \"{}\"", index));
  }
  Result<Answer> answer = ask("DELETE", "/" + url_segment(index));
  if (!answer) return {std::nullopt, answer.failure};
  if (answer.value->status != 200 && answer.value->status != 404)
    return {std::nullopt, failure_of(*answer.value, fmt::format("delete index \"{}\"", index))};
  return {true, {}};
}

}  // namespace conveyor
