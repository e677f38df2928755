#include "target/elasticsearch.hpp"

#include <fmt/format.h>

#include "decide/bulk_body.hpp"

namespace conveyor {

namespace {

// A large body takes a busy server a second or two.
constexpr auto longest_patience = std::chrono::seconds(5);

}  // namespace

Elasticsearch::Elasticsearch(ElasticsearchOptions options, std::string secret)
    : secret_(std::move(secret)),
      nodes_(options.urls),
      concurrency_(options.max_in_flight),
      request_timeout_(options.http.request_timeout),
      client_(options.http) {}

void Elasticsearch::append_document(Body& body, std::string_view key, std::uint64_t version,
                                    std::string_view document) const {
  append_index(body, key, version, document);
}

void Elasticsearch::append_delete(Body& body, std::string_view key, std::uint64_t version) const {
  conveyor::append_delete(body, key, version);
}

void Elasticsearch::reconfigure(const std::string& options) {
  Result<ElasticsearchOptions> read = read_elasticsearch_options(options, secret_);
  {
    const std::lock_guard lock(condition_mutex_);
    bad_options_ = read ? "" : read.failure.reason + " (the options before are still in force)";
  }
  if (!read) return;
  nodes_.assign(read.value->urls);
  client_.configure(read.value->http);
  client_.post([this, maximum = read.value->max_in_flight, timeout = read.value->http.request_timeout] {
    concurrency_.set_maximum(maximum);
    request_timeout_ = timeout;
    pump();
  });
}

std::string Elasticsearch::condition() const {
  const Time now = Clock::now();
  std::string condition = nodes_.condition(now);
  const std::lock_guard lock(condition_mutex_);
  // A server that stands still, or waits for a shard, says nothing until it or we give up.
  std::string silence;
  if (!unanswered_since_.empty() && now - *unanswered_since_.begin() > longest_patience)
    silence = fmt::format("no answer to a request for {:.0f} s", seconds(now - *unanswered_since_.begin()));
  for (const std::string& other : {silence, trouble_, bad_options_}) {
    if (other.empty()) continue;
    if (!condition.empty()) condition += "; ";
    condition += other;
  }
  return condition;
}

void Elasticsearch::set_trouble(std::string trouble) {
  const std::lock_guard lock(condition_mutex_);
  trouble_ = std::move(trouble);
}

}  // namespace conveyor
