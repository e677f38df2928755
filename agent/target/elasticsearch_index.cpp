// The calls that may block: making the index and its alias, ending a fill, listing ids, removing.
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

// Ids in a page. A scroll's context is kept open by the server for as long as a page may take to be worked through.
constexpr int page_ids = 5000;
constexpr const char* scroll_time = "10m";
constexpr int attempts_to_create = 3;

// Aliases may have capitals, indices may not.
std::string first_index(std::string name) {
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return name + "-000001";
}

struct Stored {
  std::string index;
  bool filling = false;
  Json restore;  // an object; empty when there is nothing to restore
};

Stored read_stored(const IndexState& state) {
  const Json json = parse_json(state);
  Stored stored{text_of(json.get(), "name"), json_is_true(json_object_get(json.get(), "filling")), nullptr};
  json_t* restore = json_object_get(json.get(), "restore");
  if (json_is_object(restore) && json_object_size(restore) > 0) stored.restore.reset(json_incref(restore));
  return stored;
}

IndexState write_stored(const std::string& index, bool filling, const json_t* restore) {
  const Json json(json_object());
  json_object_set_new(json.get(), "name", json_text(index).release());
  json_object_set_new(json.get(), "filling", json_boolean(filling));
  json_object_set_new(json.get(), "restore", restore ? json_deep_copy(restore) : json_object());
  return to_text(json.get());
}

std::string index_options(const Destination& destination) {
  const Json options = parse_json(destination.options);
  const json_t* index = json_object_get(options.get(), "index");
  return index && !json_is_null(index) ? to_text(index) : "{}";
}

template <typename T>
Result<T> fail(Outcome outcome, std::string reason) {
  return {std::nullopt, {outcome, std::move(reason)}};
}

}  // namespace

// One request to the first node that takes it. An answer of any status is an answer; a Failure: there was none.
Result<Elasticsearch::Answer> Elasticsearch::ask(const std::string& method, const std::string& path,
                                                 const std::string& body) {
  while (const std::optional<std::string> node = nodes_.pick()) {
    http::Request request;
    request.method = method;
    request.url = *node + path;
    if (!body.empty()) request.content_type = "application/json";
    request.body = body;
    const http::Response response = client_.wait(std::move(request));
    if (response.end != http::End::answered) {
      node_failed(*node, response.error);
      if (response.end == http::End::not_sent) continue;
      return fail<Answer>(Outcome::retry, response.error);
    }
    nodes_.up(*node);
    Answer answer{response.status, response.body, {}, {}};
    if (response.status >= 300) {
      AnswerItem error = parse_error(response.status, response.body);
      answer.type = std::move(error.type);
      answer.reason = std::move(error.reason);
    }
    return {std::move(answer), {}};
  }
  return fail<Answer>(Outcome::retry, nodes_.condition(Clock::now()));
}

Failure Elasticsearch::failure_of(const Answer& answer, const std::string& doing) {
  Outcome outcome = request_outcome(answer.status, answer.type, false);
  // What is refused here is a name, a setting or a mapping: it stays refused until someone changes it.
  if (outcome != Outcome::retry && outcome != Outcome::slow_down) outcome = Outcome::hold;
  return {outcome, fmt::format("could not {}: {}", doing, words({answer.status, answer.type, answer.reason}))};
}

// False: there is no such index. One that is there and not ours is a Failure.
Result<bool> Elasticsearch::exists_and_ours(const Destination& destination, const std::string& index) {
  Result<Answer> answer = ask("GET", meta_path(index) + "?filter_path=*.mappings._meta");
  if (!answer) return {std::nullopt, answer.failure};
  if (answer.value->status == 404) return {false, {}};
  if (answer.value->status != 200)
    return {std::nullopt, failure_of(*answer.value, fmt::format("look at index \"{}\"", index))};
  const Json found = parse_json(answer.value->body);
  if (!is_ours(found.get(), index, destination.origin))
    return fail<bool>(Outcome::hold, not_ours(index, destination.delivery));
  return {true, {}};
}

// Looks what stands under the destination's name: nothing or our index is right. True: the alias names our index.
Result<bool> Elasticsearch::alias_is_ours(const Destination& destination, const std::string& index) {
  Result<Answer> answer = ask("GET", "/" + url_segment(destination.name) + "/_alias");
  if (!answer) return {std::nullopt, answer.failure};
  if (answer.value->status == 404) return {false, {}};
  if (answer.value->status != 200)
    return {std::nullopt, failure_of(*answer.value, fmt::format("look at alias \"{}\"", destination.name))};
  const Json found = parse_json(answer.value->body);
  const char* name;
  json_t* value;
  json_object_foreach(found.get(), name, value) {
    if (name == index) continue;
    const std::string object = name == destination.name
                                   ? fmt::format("an index named \"{}\"", name)
                                   : fmt::format("alias \"{}\", which names index \"{}\",", destination.name, name);
    return fail<bool>(
        Outcome::hold,
        fmt::format("{} is already in the target and was not made by this delivery; choose another destination (SELECT "
                    "conveyor.alter_delivery), or delete or rename it, then run: SELECT conveyor.resume_delivery({})",
                    object, sql_literal(destination.delivery)));
  }
  return {json_object_size(found.get()) > 0, {}};
}

Result<IndexState> Elasticsearch::prepare(Destination& destination, const IndexState& stored, bool will_fill) {
  const Stored known = read_stored(stored);
  const std::string index = known.index.empty() ? first_index(destination.name) : known.index;
  Result<bool> alias = alias_is_ours(destination, index);
  if (!alias) return {std::nullopt, alias.failure};
  for (int attempt = 1; attempt <= attempts_to_create; ++attempt) {
    const Result<bool> there = exists_and_ours(destination, index);
    if (!there) return {std::nullopt, there.failure};
    if (!*there.value) {
      // Ranges that were checkpointed went to the index that is gone: no fill may go on in a new one.
      if (!known.index.empty() && !will_fill)
        return fail<IndexState>(Outcome::hold, missing(index, destination.delivery));
      Result<IndexState> made = create(destination, index, will_fill);
      if (!made && made.failure.reason.empty()) continue;  // someone was quicker: look again whose it is
      if (made) destination.index = index;
      return made;
    }
    if (!*alias.value) {
      const Result<bool> pointed = point_alias(destination, index);
      if (!pointed) return {std::nullopt, pointed.failure};
    }
    Result<IndexState> state =
        known.index.empty() ? adopt(destination, index, will_fill) : Result<IndexState>{stored, {}};
    if (state) destination.index = index;
    return state;
  }
  return fail<IndexState>(Outcome::retry, fmt::format("index \"{}\" comes and goes in the target", index));
}

// Index and alias in one request: there is never one without the other. A Failure without a reason: it exists already.
Result<IndexState> Elasticsearch::create(const Destination& destination, const std::string& index, bool will_fill) {
  IndexPlan plan;
  try {
    plan = plan_index(destination.columns, index_options(destination), destination.name, destination.origin,
                      destination.delivery, will_fill);
  } catch (const std::invalid_argument& bad) {
    return fail<IndexState>(Outcome::hold, bad.what());
  }
  Result<Answer> answer = ask("PUT", "/" + url_segment(index), plan.create);
  if (!answer) return {std::nullopt, answer.failure};
  if (answer.value->type == "resource_already_exists_exception") return fail<IndexState>(Outcome::retry, {});
  if (answer.value->status != 200)
    return {std::nullopt, failure_of(*answer.value, fmt::format("create index \"{}\"", index))};
  return {write_stored(index, will_fill, parse_json(plan.restore).get()), {}};
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
                    "or choose another destination (SELECT conveyor.alter_delivery), then run: SELECT "
                    "conveyor.resume_delivery({})",
                    index, json_integer_value(count), sql_literal(destination.delivery)));
  try {
    const IndexPlan plan = plan_index(destination.columns, index_options(destination), destination.name,
                                      destination.origin, destination.delivery, true);
    // It may have been made for a fill; if there is none now, what was set aside for it comes back at once.
    const IndexState state = write_stored(index, true, parse_json(plan.restore).get());
    return will_fill ? Result<IndexState>{state, {}} : finish_fill(destination, state);
  } catch (const std::invalid_argument& bad) {
    return fail<IndexState>(Outcome::hold, bad.what());
  }
}

Result<bool> Elasticsearch::point_alias(const Destination& destination, const std::string& index) {
  const Json actions(json_pack("{s:[{s:{s:s%,s:s%}}]}", "actions", "add", "index", index.data(), index.size(), "alias",
                               destination.name.data(), destination.name.size()));
  Result<Answer> answer = ask("POST", "/_aliases", to_text(actions.get()));
  if (!answer) return {std::nullopt, answer.failure};
  if (answer.value->status != 200)
    return {std::nullopt,
            failure_of(*answer.value, fmt::format("point alias \"{}\" to index \"{}\"", destination.name, index))};
  return {true, {}};
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
  return {write_stored(index, false, nullptr), {}};
}

Result<IdPage> Elasticsearch::list_ids(const Destination& destination, const std::string& position) {
  const std::string& index = destination.index;
  const std::string doing = fmt::format("list the ids of index \"{}\"", index);
  constexpr const char* filter = "filter_path=_scroll_id,timed_out,_shards.failed,hits.hits._id";
  Result<Answer> answer;
  if (position.empty()) {
    // Only what a refresh has made visible is listed: what was acknowledged before this call must be.
    Result<Answer> refreshed = ask("POST", "/" + url_segment(index) + "/_refresh");
    if (!refreshed) return {std::nullopt, refreshed.failure};
    if (refreshed.value->status == 404) return fail<IdPage>(Outcome::hold, missing(index, destination.delivery));
    if (refreshed.value->status != 200) return {std::nullopt, failure_of(*refreshed.value, doing)};
    answer = ask("POST", fmt::format("/{}/_search?scroll={}&{}", url_segment(index), scroll_time, filter),
                 fmt::format(R"({{"size":{},"_source":false,"sort":["_doc"]}})", page_ids));
  } else {
    const Json body(json_pack("{s:s,s:s%}", "scroll", scroll_time, "scroll_id", position.data(), position.size()));
    answer = ask("POST", fmt::format("/_search/scroll?{}", filter), to_text(body.get()));
  }
  if (!answer) return {std::nullopt, answer.failure};
  if (answer.value->status == 404 && !position.empty())
    return fail<IdPage>(Outcome::retry, "the target has forgotten how far the listing of ids had come: begin again");
  if (answer.value->status != 200) return {std::nullopt, failure_of(*answer.value, doing)};

  const Json json = parse_json(answer.value->body);
  const std::string scroll = text_of(json.get(), "_scroll_id");
  const json_t* failed = json_object_get(json_object_get(json.get(), "_shards"), "failed");
  if (scroll.empty() || json_is_true(json_object_get(json.get(), "timed_out")) || !json_is_integer(failed) ||
      json_integer_value(failed) != 0)
    return fail<IdPage>(Outcome::retry, fmt::format("could not {}: not every shard answered", doing));
  IdPage page;
  const json_t* hits = json_object_get(json_object_get(json.get(), "hits"), "hits");
  page.ids.reserve(json_array_size(hits));
  std::size_t i;
  const json_t* hit;
  json_array_foreach(hits, i, hit) page.ids.push_back(text_of(hit, "_id"));
  if (page.ids.size() == page_ids) {
    page.position = scroll;
    return {std::move(page), {}};
  }
  const Json body(json_pack("{s:s%}", "scroll_id", scroll.data(), scroll.size()));
  ask("DELETE", "/_search/scroll", to_text(body.get()));  // only a courtesy: the server forgets it by itself in the end
  return {std::move(page), {}};
}

Result<bool> Elasticsearch::remove_destination(const Destination& destination, const IndexState& stored) {
  const Stored known = read_stored(stored);
  const std::string index = known.index.empty() ? first_index(destination.name) : known.index;
  const Result<bool> there = exists_and_ours(destination, index);
  if (!there || !*there.value) return there;
  Result<Answer> answer = ask("DELETE", "/" + url_segment(index));
  if (!answer) return {std::nullopt, answer.failure};
  if (answer.value->status != 200 && answer.value->status != 404)
    return {std::nullopt, failure_of(*answer.value, fmt::format("delete index \"{}\"", index))};
  return {true, {}};
}

}  // namespace conveyor
