// Two indices of one delivery: which ids are there, whether readers can be led to one, and leading them there.
#include <algorithm>

#include <fmt/format.h>

#include "decide/bulk_answer.hpp"
#include "decide/bulk_body.hpp"
#include "target/elasticsearch.hpp"
#include "target/elasticsearch_names.hpp"

namespace conveyor {

namespace {

template <typename T>
Result<T> fail(Outcome outcome, std::string reason) {
  return {std::nullopt, {outcome, std::move(reason)}};
}

double number_of(const json_t* object, const char* name, double otherwise) {
  const json_t* value = json_object_get(object, name);
  if (json_is_number(value)) return json_number_value(value);
  return json_is_string(value) ? std::strtod(json_string_value(value), nullptr) : otherwise;
}

}  // namespace

// Asks for the documents themselves, which need no refresh.
Result<std::vector<bool>> Elasticsearch::have_ids(const Destination& destination, const std::vector<std::string>& ids) {
  const std::string doing = fmt::format("look for ids in index \"{}\"", destination.index);
  std::vector<bool> found(ids.size());
  std::vector<std::size_t> asked;
  const Json list(json_array());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    // What cannot be an id is not there; asking for it would be an error.
    if (ids[i].empty() || ids[i].size() > max_id_bytes) continue;
    asked.push_back(i);
    json_array_append_new(list.get(), json_text(ids[i]).release());
  }
  if (asked.empty()) return {std::move(found), {}};
  const Json body(json_object());
  json_object_set(body.get(), "ids", list.get());
  Result<Answer> answer = ask("POST",
                              fmt::format("/{}/_mget?_source=false&filter_path=docs.found,docs.error.type,docs._index",
                                          url_segment(destination.index)),
                              to_text(body.get()));
  if (!answer) return {std::nullopt, answer.failure};
  if (answer.value->status == 404)
    return fail<std::vector<bool>>(Outcome::hold, missing(destination.index, destination.delivery));
  if (answer.value->status != 200) return {std::nullopt, failure_of(*answer.value, doing)};
  const Json json = parse_json(answer.value->body);
  const json_t* docs = json_object_get(json.get(), "docs");
  if (json_array_size(docs) != asked.size())
    return fail<std::vector<bool>>(Outcome::retry, fmt::format("could not {}: the answer is not whole", doing));
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const json_t* doc = json_array_get(docs, i);
    if (const std::string error = text_of(json_object_get(doc, "error"), "type"); !error.empty())
      return fail<std::vector<bool>>(error == index_not_found ? Outcome::hold : Outcome::retry,
                                     fmt::format("could not {}: {}", doing, error));
    found[asked[i]] = json_is_true(json_object_get(doc, "found"));
  }
  return {std::move(found), {}};
}

// Nothing inside: there is no such index. Whatever was acknowledged can be searched for afterwards.
Result<std::optional<Elasticsearch::Copies>> Elasticsearch::copies_of(const std::string& index) {
  const std::string path = "/" + url_segment(index);
  const std::string doing = fmt::format("look at the shards of index \"{}\"", index);
  const Result<Answer> refreshed = ask("POST", path + "/_refresh");
  if (!refreshed) return {std::nullopt, refreshed.failure};
  if (refreshed.value->status == 404) return {std::optional<Copies>(), {}};
  if (refreshed.value->status != 200) return {std::nullopt, failure_of(*refreshed.value, doing)};
  const Result<Answer> settings = ask("GET", path + "/_settings?filter_path=*.settings.index.number_of_*");
  if (!settings) return {std::nullopt, settings.failure};
  if (settings.value->status != 200) return {std::nullopt, failure_of(*settings.value, doing)};
  const Result<Answer> moving = ask("GET", path + "/_recovery?active_only=true");
  if (!moving) return {std::nullopt, moving.failure};
  if (moving.value->status != 200) return {std::nullopt, failure_of(*moving.value, doing)};

  const Json answer = parse_json(refreshed.value->body), set = parse_json(settings.value->body);
  const json_t* shards = json_object_get(answer.get(), "_shards");
  const json_t* of_index =
      json_object_get(json_object_get(json_object_get(set.get(), index.c_str()), "settings"), "index");
  if (number_of(shards, "failed", 1) > 0)
    return fail<std::optional<Copies>>(Outcome::retry, fmt::format("could not {}: not every shard answered", doing));
  const double primaries = std::max(1.0, number_of(of_index, "number_of_shards", 1));
  Copies copies;
  copies.active = number_of(shards, "successful", 0) / primaries;
  copies.wished = 1 + number_of(of_index, "number_of_replicas", 0);
  const Json active = parse_json(moving.value->body);
  const char* name;
  json_t* value;
  json_object_foreach(active.get(), name, value) if (json_array_size(json_object_get(value, "shards")) > 0)
      copies.moving = true;
  return {std::optional<Copies>(copies), {}};
}

// Readers must not be worse off: as many copies as are wished, or as many as the other index has where the cluster has
// no place for more (one node alone never has place for a replica).
Result<std::string> Elasticsearch::unready(const Destination& destination, const std::string& other) {
  const Result<std::optional<Copies>> ours = copies_of(destination.index);
  if (!ours) return {std::nullopt, ours.failure};
  if (!*ours.value) return fail<std::string>(Outcome::hold, missing(destination.index, destination.delivery));
  const Copies& here = **ours.value;
  double least = here.wished;
  if (here.active < least || here.moving) {
    const Result<std::optional<Copies>> theirs = copies_of(other);
    if (!theirs) return {std::nullopt, theirs.failure};
    if (*theirs.value) least = std::min(least, (*theirs.value)->active);
  }
  if (here.active >= least && !here.moving) return {std::string(), {}};
  return {fmt::format("index \"{}\" has {:.3g} of {:.3g} copies of each shard{}", destination.index, here.active,
                      here.wished, here.moving ? ", one is being made" : ""),
          {}};
}

// Every alias goes over, not the destination's alone: who reads through another one must not be left behind. In one
// request, so that there is no moment with none of the indices or with both.
Result<bool> Elasticsearch::lead_name(const Destination& destination, const std::string& to, const std::string& from) {
  const Destination both = [&] {
    Destination copy = destination;
    copy.index = to;
    copy.other = from;
    return copy;
  }();
  const Result<std::vector<std::string>> names = named_indices(both);
  if (!names) return {std::nullopt, names.failure};
  const Result<std::optional<Found>> there = look(both, to), here = look(both, from);
  if (!there) return {std::nullopt, there.failure};
  if (!here) return {std::nullopt, here.failure};
  if (!*there.value) return fail<bool>(Outcome::hold, missing(to, destination.delivery));

  const Json actions(json_array());
  if (*here.value) {
    const char* alias;
    json_t* definition;
    json_object_foreach((*here.value)->aliases.get(), alias, definition) {
      if (alias == write_alias(from)) continue;
      json_array_append_new(actions.get(), remove_alias(from, alias));
      json_array_append_new(actions.get(), add_alias(to, alias, json_deep_copy(definition)));
    }
  }
  if (!(*there.value)->has_name && !(*here.value && (*here.value)->has_name))
    json_array_append_new(actions.get(), add_alias(to, destination.name, json_object()));
  if (json_array_size(actions.get()) == 0) return {false, {}};
  return change_aliases(actions.get(), fmt::format("lead alias \"{}\" to index \"{}\"", destination.name, to));
}

Result<bool> Elasticsearch::change_aliases(json_t* actions, const std::string& doing) {
  const Json body(json_object());
  json_object_set(body.get(), "actions", actions);
  const Result<Answer> answer = ask("POST", "/_aliases", to_text(body.get()));
  if (!answer) return {std::nullopt, answer.failure};
  if (answer.value->status != 200) return {std::nullopt, failure_of(*answer.value, doing)};
  // The cluster may not have told all of its nodes in time: whoever asks looks again.
  if (!json_is_true(json_object_get(parse_json(answer.value->body).get(), "acknowledged")))
    return fail<bool>(Outcome::retry, fmt::format("could not {}: not acknowledged", doing));
  return {true, {}};
}

}  // namespace conveyor
