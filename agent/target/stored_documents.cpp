#include "target/stored_documents.hpp"

#include "decide/json_scan.hpp"

namespace conveyor {

namespace {

bool read_hit(JsonScan& scan, StoredDocument& document) {
  document = {};
  bool identified = false;
  std::string_view name;
  if (!scan.enter_object()) return false;
  while (scan.next_member(name)) {
    if (name == "_id") {
      std::optional<std::string> id = scan.string();
      identified = id.has_value();
      document.id = std::move(id).value_or("");
    } else if (name == "_version") {
      document.version = scan.integer().value_or(0);
    } else if (name == "_seq_no") {
      document.sequence = scan.integer().value_or(0);
    } else if (name == "_routing") {
      document.routing = scan.string().value_or("");
    } else if (name == "_source") {
      document.source = scan.value();
    } else {
      scan.value();
    }
  }
  return identified && !scan.failed();
}

}  // namespace

SearchAnswer read_search_answer(std::string_view text, const std::function<void(const StoredDocument&)>& take) {
  SearchAnswer answer;
  JsonScan scan(text);
  bool timed_out = true, found_hits = false;
  std::int64_t failed_shards = -1;
  StoredDocument document;
  std::string_view name;
  scan.enter_object();
  while (scan.next_member(name)) {
    if (name == "_scroll_id") {
      answer.scroll = scan.string().value_or("");
    } else if (name == "timed_out") {
      timed_out = scan.value() != "false";
    } else if (name == "_shards" && scan.enter_object()) {
      while (scan.next_member(name))
        if (name == "failed")
          failed_shards = scan.integer().value_or(-1);
        else
          scan.value();
    } else if (name == "hits" && scan.enter_object()) {
      while (scan.next_member(name)) {
        if (name != "hits" || !scan.enter_array()) {
          if (name != "hits") scan.value();
          continue;
        }
        found_hits = true;
        while (scan.next_element()) {
          if (!read_hit(scan, document)) {
            answer.problem = "an answer that is no list of documents";
            return answer;
          }
          ++answer.hits;
          take(document);
        }
      }
    } else if (name != "_shards" && name != "hits") {
      scan.value();
    }
  }
  if (scan.failed() || !found_hits)
    answer.problem = "an answer that is no search's answer";
  else if (timed_out || failed_shards != 0)
    answer.problem = "not every shard answered";
  return answer;
}

}  // namespace conveyor
