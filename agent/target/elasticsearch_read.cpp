// Reading documents back, to compare them with what was to be delivered.
//
// No filter_path here: with it the servers write every document anew instead of handing out the bytes that they keep.
#include <algorithm>

#include <fmt/format.h>

#include "target/elasticsearch.hpp"
#include "target/elasticsearch_names.hpp"
#include "target/stored_documents.hpp"

namespace conveyor {

namespace {

// The servers' own limit for what one search may return, and room for more documents than there should be.
constexpr std::size_t most_hits = 10'000, spare_hits = 64;
constexpr std::size_t scroll_hits = 1000;
constexpr const char* scroll_time = "5m";
// A page is as large as its documents are.
constexpr std::size_t most_bytes = 512u << 20;

json_t* bound(const std::string& text) { return json_text(text).release(); }

Json range_query(const ReadBack& wanted) {
  Json bounds(json_object());
  if (wanted.first) json_object_set_new(bounds.get(), "gt", bound(*wanted.first));
  if (wanted.last) json_object_set_new(bounds.get(), "lte", bound(*wanted.last));
  Json by_field(json_object());
  json_object_set_new(by_field.get(), wanted.field.c_str(), bounds.release());
  return Json(json_pack("{s:o}", "range", by_field.release()));
}

Json query_of(const ReadBack& wanted) {
  switch (wanted.kind) {
    case ReadBack::Kind::ids: {
      Json ids(json_array());
      for (const std::string& id : wanted.ids) json_array_append_new(ids.get(), bound(id));
      return Json(json_pack("{s:{s:o}}", "ids", "values", ids.release()));
    }
    case ReadBack::Kind::range:
      // Without bounds it still wants the field: what has none is no range's.
      if (wanted.first || wanted.last) return range_query(wanted);
      return Json(json_pack("{s:{s:s}}", "exists", "field", wanted.field.c_str()));
    case ReadBack::Kind::without:
      break;
  }
  return Json(json_pack("{s:{s:{s:{s:s}}}}", "bool", "must_not", "exists", "field", wanted.field.c_str()));
}

std::string search_body(const ReadBack& wanted, std::size_t size, bool scrolls) {
  Json body(json_object());
  json_object_set_new(body.get(), "size", json_integer(static_cast<json_int_t>(size)));
  // Nobody wants to know; a scroll refuses not to count.
  if (!scrolls) json_object_set_new(body.get(), "track_total_hits", json_false());
  json_object_set_new(body.get(), "sort", json_pack("[s]", "_doc"));
  json_object_set_new(body.get(), "query", json_pack("{s:{s:[o]}}", "bool", "filter", query_of(wanted).release()));
  if (wanted.versions) {
    json_object_set_new(body.get(), "version", json_true());
    json_object_set_new(body.get(), "seq_no_primary_term", json_true());
  }
  return to_text(body.get());
}

}  // namespace

Result<std::string> Elasticsearch::field_type(const Destination& destination, const std::string& field) {
  const std::string& index = destination.index;
  Result<Answer> answer = ask("GET", "/" + url_segment(index) + "/_mapping");
  if (!answer) return {std::nullopt, answer.failure};
  if (answer.value->status == 404) return {std::nullopt, {Outcome::hold, missing(index, destination.delivery)}};
  if (answer.value->status != 200)
    return {std::nullopt, failure_of(*answer.value, fmt::format("read the mapping of index \"{}\"", index))};
  const Json json = parse_json(answer.value->body);
  const json_t* mappings = json_object_get(json_object_get(json.get(), index.c_str()), "mappings");
  if (json_object_size(json_object_get(mappings, "_source")) > 0)
    return {std::nullopt,
            {Outcome::hold,
             fmt::format("index \"{}\" does not keep documents as they are sent: its mapping changes _source", index)}};
  const json_t* mapping = json_object_get(json_object_get(mappings, "properties"), field.c_str());
  if (json_is_false(json_object_get(mapping, "index")) || json_object_get(mapping, "normalizer")) return {"", {}};
  return {text_of(mapping, "type"), {}};
}

Result<bool> Elasticsearch::refresh(const Destination& destination) {
  Result<Answer> answer = ask("POST", "/" + url_segment(destination.index) + "/_refresh");
  if (!answer) return {std::nullopt, answer.failure};
  if (answer.value->status == 404)
    return {std::nullopt, {Outcome::hold, missing(destination.index, destination.delivery)}};
  if (answer.value->status != 200)
    return {std::nullopt, failure_of(*answer.value, fmt::format("refresh index \"{}\"", destination.index))};
  return {true, {}};
}

// One page of a search or scroll; its problems are failures.
Result<SearchAnswer> Elasticsearch::search(const std::string& path, const std::string& body,
                                           const Destination& destination,
                                           const std::function<void(const StoredDocument&)>& take) {
  const std::string doing = fmt::format("read documents of index \"{}\"", destination.index);
  Result<Answer> answer = ask("POST", path, body, most_bytes);
  if (!answer) return {std::nullopt, answer.failure};
  if (answer.value->type == index_not_found)
    return {std::nullopt, {Outcome::hold, missing(destination.index, destination.delivery)}};
  if (answer.value->status != 200) return {std::nullopt, failure_of(*answer.value, doing)};
  SearchAnswer page = read_search_answer(answer.value->body, take);
  if (!page.problem.empty())
    return {std::nullopt, {Outcome::retry, fmt::format("could not {}: {}", doing, page.problem)}};
  return {std::move(page), {}};
}

Result<bool> Elasticsearch::read(const Destination& destination, const ReadBack& wanted,
                                 const std::function<void(const StoredDocument&)>& take) {
  const std::string path = "/" + url_segment(destination.index) + "/_search";
  std::size_t size = std::min(wanted.expected + spare_hits, most_hits);
  Result<SearchAnswer> page = search(path, search_body(wanted, size, false), destination, take);
  if (!page) return {std::nullopt, page.failure};
  if (static_cast<std::size_t>(page.value->hits) < size) return {true, {}};

  // More than there should be: all of them, however many.
  size = scroll_hits;
  page = search(fmt::format("{}?scroll={}", path, scroll_time), search_body(wanted, size, true), destination, take);
  while (page && static_cast<std::size_t>(page.value->hits) == size) {
    const std::string& scroll = page.value->scroll;
    const Json next(json_pack("{s:s,s:s%}", "scroll", scroll_time, "scroll_id", scroll.data(), scroll.size()));
    page = search("/_search/scroll", to_text(next.get()), destination, take);
  }
  if (!page) return {std::nullopt, page.failure};
  const std::string& scroll = page.value->scroll;
  const Json last(json_pack("{s:s%}", "scroll_id", scroll.data(), scroll.size()));
  ask("DELETE", "/_search/scroll", to_text(last.get()));  // only a courtesy: the server forgets it by itself in the end
  return {true, {}};
}

}  // namespace conveyor
