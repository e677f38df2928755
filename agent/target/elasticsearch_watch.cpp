// What is known of the indices and the nodes, on the HTTP client's thread.
#include "decide/bulk_answer.hpp"
#include "decide/outcome.hpp"
#include "target/elasticsearch.hpp"
#include "target/elasticsearch_names.hpp"

namespace conveyor {

namespace {

constexpr auto check_interval = std::chrono::seconds(5);
constexpr auto probe_timeout = std::chrono::seconds(5);

}  // namespace

// Whether the part may be sent now; else it waits until its index has been looked at.
bool Elasticsearch::ready(Part& part, const std::string& node) {
  const std::string index = part.sending->index;
  Checked& checked = checked_[index];
  if (checked.at != Time{} && Clock::now() - checked.at < check_interval) return true;
  checked.waiting.push_back(std::move(part));
  if (checked.asking) return false;
  checked.asking = true;
  http::Request request;
  request.url = node + look_path(index);
  client_.request(std::move(request),
                  [this, index, node](http::Response response) { this->checked(index, node, std::move(response)); });
  return false;
}

void Elasticsearch::checked(const std::string& index, const std::string& node, http::Response response) {
  Checked& checked = checked_[index];
  checked.asking = false;
  std::vector<Part> waiting = std::move(checked.waiting);
  checked.waiting.clear();
  if (response.end != http::End::answered) {
    node_failed(node, response.error);
    for (Part& part : waiting) again(std::move(part));
    return pump();
  }
  nodes_.up(node);
  const Json answer = parse_json(response.body);
  for (Part& part : waiting) {
    const std::string& delivery = part.sending->delivery;
    if (response.status == 404) {
      settle(part, Outcome::hold, index_not_found, missing(index, delivery));
    } else if (response.status != 200 || !json_is_object(answer.get())) {
      const AnswerItem error = parse_error(response.status, response.body);
      const std::string reason = words(error);
      set_trouble(reason);
      settle(part, request_outcome(response.status, error.type, false), error.type, reason);
    } else if (!is_ours(answer.get(), index, part.sending->origin)) {
      settle(part, Outcome::hold, "index_not_ours", not_ours(index, delivery));
    } else if (!checked.uuid.empty() && checked.uuid != uuid_of(answer.get(), index)) {
      settle(part, Outcome::hold, "index_replaced", replaced(index, delivery));
    } else {
      checked.at = Clock::now();
      again(std::move(part));
    }
  }
  pump();
}

void Elasticsearch::node_failed(const std::string& node, const std::string& reason) {
  const std::optional<Duration> wait = nodes_.failed(node, reason, Clock::now());
  if (wait) client_.after(*wait, [this, node] { probe(node); });
}

// Any answer shows that someone is there; what it is worth, the next request will tell.
void Elasticsearch::probe(const std::string& node) {
  http::Request request;
  request.url = node + "/_cluster/health?local=true&filter_path=status";
  request.timeout = probe_timeout;
  client_.request(std::move(request), [this, node](http::Response response) {
    if (response.end == http::End::answered) return nodes_.up(node);
    const std::optional<Duration> wait = nodes_.probe_failed(node, response.error, Clock::now());
    if (wait) client_.after(*wait, [this, node] { probe(node); });
  });
}

}  // namespace conveyor
