// Asking a cluster and waiting for its answer, and the longest of such talks: listing the ids of an index.
#include <fmt/format.h>

#include "decide/bulk_answer.hpp"
#include "decide/outcome.hpp"
#include "target/elasticsearch.hpp"
#include "target/elasticsearch_names.hpp"

namespace conveyor {

namespace {

// Ids in a page. A scroll's context is kept open by the server for as long as a page may take to be worked through.
constexpr int page_ids = 5000;
constexpr const char* scroll_time = "10m";

Result<IdPage> no_page(Outcome outcome, std::string reason) { return {std::nullopt, {outcome, std::move(reason)}}; }

}  // namespace

// One request to the first node that takes it. An answer of any status is an answer; a Failure: there was none.
Result<Elasticsearch::Answer> Elasticsearch::ask(const std::string& method, const std::string& path,
                                                 const std::string& body, std::size_t most_bytes) {
  while (const std::optional<std::string> node = nodes_.pick()) {
    http::Request request;
    request.method = method;
    request.url = *node + path;
    if (!body.empty()) request.content_type = "application/json";
    request.body = body;
    request.max_response = most_bytes;
    const http::Response response = client_.wait(std::move(request));
    if (response.end != http::End::answered) {
      node_failed(*node, response.error);
      if (response.end == http::End::not_sent) continue;
      return {std::nullopt, {Outcome::retry, response.error}};
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
  return {std::nullopt, {Outcome::retry, nodes_.condition(Clock::now())}};
}

Failure Elasticsearch::failure_of(const Answer& answer, const std::string& doing) {
  Outcome outcome = request_outcome(answer.status, answer.type, false);
  // What is refused here is a name, a setting or a mapping: it stays refused until someone changes it.
  if (outcome != Outcome::retry && outcome != Outcome::slow_down) outcome = Outcome::hold;
  return {outcome, fmt::format("could not {}: {}", doing, words({answer.status, answer.type, answer.reason}))};
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
    if (refreshed.value->status == 404) return no_page(Outcome::hold, missing(index, destination.delivery));
    if (refreshed.value->status != 200) return {std::nullopt, failure_of(*refreshed.value, doing)};
    answer = ask("POST", fmt::format("/{}/_search?scroll={}&{}", url_segment(index), scroll_time, filter),
                 fmt::format(R"({{"size":{},"_source":false,"sort":["_doc"]}})", page_ids));
  } else {
    const Json body(json_pack("{s:s,s:s%}", "scroll", scroll_time, "scroll_id", position.data(), position.size()));
    answer = ask("POST", fmt::format("/_search/scroll?{}", filter), to_text(body.get()));
  }
  if (!answer) return {std::nullopt, answer.failure};
  // Forgotten (404), or kept by a node that has left: OpenSearch says 500 in version 2, 400 in version 3, Elasticsearch
  // 404. What is wrong with the index itself, the beginning of the next listing will be told.
  if (!position.empty() && (answer.value->status == 400 || answer.value->status == 404))
    return no_page(Outcome::retry, "the target has forgotten how far the listing of ids had come: begin again");
  if (answer.value->status != 200) return {std::nullopt, failure_of(*answer.value, doing)};

  const Json json = parse_json(answer.value->body);
  const std::string scroll = text_of(json.get(), "_scroll_id");
  const json_t* failed = json_object_get(json_object_get(json.get(), "_shards"), "failed");
  if (scroll.empty() || json_is_true(json_object_get(json.get(), "timed_out")) || !json_is_integer(failed) ||
      json_integer_value(failed) != 0)
    return no_page(Outcome::retry, fmt::format("could not {}: not every shard answered", doing));
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

}  // namespace conveyor
