// Sending, on the HTTP client's thread: queue → ready() → request → answer → halves or the end.
#include <algorithm>

#include <fmt/format.h>

#include "decide/bulk_answer.hpp"
#include "decide/bulk_body.hpp"
#include "decide/outcome.hpp"
#include "target/elasticsearch.hpp"
#include "target/elasticsearch_names.hpp"

namespace conveyor {

namespace {

constexpr std::size_t least_split = 64 << 10;  // bytes

struct Wire {
  std::string_view bytes;
  std::size_t items = 0;  // those that have bytes: unsendable ones have none
};

Wire wire_of(const Body& body, std::size_t first, std::size_t count) {
  const Body::Item& last = body.items[first + count - 1];
  const std::size_t from = body.items[first].wire_at;
  Wire wire{std::string_view(body.wire).substr(from, last.wire_at + last.wire_size - from), 0};
  for (std::size_t i = first; i < first + count; ++i) wire.items += body.items[i].wire_size > 0;
  return wire;
}

std::string_view last_key(const Body& body, std::size_t first, std::size_t count) {
  std::size_t last = first + count - 1;
  while (last > first && body.items[last].wire_size == 0) --last;
  return body.key(last);
}

}  // namespace

void Elasticsearch::send(const Destination& destination, std::shared_ptr<const Body> body, Done done) {
  auto sending = std::make_shared<Sending>();
  sending->delivery = destination.delivery;
  sending->index = destination.index;
  sending->origin = destination.origin;
  sending->gzip = json_is_true(json_object_get(parse_json(destination.options).get(), "compress"));
  sending->body = std::move(body);
  sending->done = std::move(done);
  sending->begun = Clock::now();
  sending->result.answered = true;
  client_.post([this, sending = std::move(sending)] {
    const Body& whole = *sending->body;
    for (std::size_t i = 0; i < whole.items.size(); ++i) {
      if (whole.items[i].wire_size > 0) continue;
      sending->result.items.resize(whole.items.size(), ItemResult{Outcome::done, {}, {}});
      sending->result.items[i] = unsendable(whole, i);
    }
    const Part part{sending, 0, whole.items.size()};
    if (whole.wire.empty()) return close(part);
    queue_.push(sending->delivery, part);
    pump();
  });
}

void Elasticsearch::pump() {
  while (!queue_.empty() && in_flight_ < concurrency_.limit()) {
    const std::optional<std::string> node = nodes_.pick();
    if (!node) return give_up_queue();
    Part part = queue_.pop();
    if (wire_of(*part.sending->body, part.first, part.count).items == 0)
      close(part);
    else if (ready(part, *node))
      request(std::move(part), *node);
  }
}

// With no node up there is nothing to wait for here: whoever asked waits, and may do something else meanwhile.
void Elasticsearch::give_up_queue() {
  const std::string reason = nodes_.condition(Clock::now());
  while (!queue_.empty()) settle(queue_.pop(), Outcome::retry, "unreachable", reason);
}

// Whether the part has deletes only: one item more goes with them, behind, whose answer means nothing.
bool Elasticsearch::guarded(const Part& part) {
  const auto first = part.sending->body->items.begin() + static_cast<std::ptrdiff_t>(part.first);
  return std::all_of(first, first + static_cast<std::ptrdiff_t>(part.count),
                     [](const Body::Item& item) { return item.remove || item.wire_size == 0; });
}

void Elasticsearch::request(Part part, const std::string& node) {
  const Sending& sending = *part.sending;
  const Wire wire = wire_of(*sending.body, part.first, part.count);
  http::Request request;
  request.method = "POST";
  // The server gives up before we do, so that what it says is heard.
  const auto timeout = std::chrono::duration_cast<std::chrono::milliseconds>(request_timeout_ / 2).count();
  request.url = fmt::format(
      "{}/{}/"
      "_bulk?require_alias=true&timeout={}ms&filter_path={}",
      node, url_segment(write_alias(sending.index)), timeout, bulk_answer_filter);
  request.content_type = "application/x-ndjson";
  if (guarded(part)) {
    auto copy = std::make_shared<std::string>(wire.bytes);
    append_guard(*copy, last_key(*sending.body, part.first, part.count));
    request.body = *copy;
    request.owner = std::move(copy);
  } else {
    request.body = wire.bytes;
    request.owner = sending.body;
  }
  request.gzip = sending.gzip;
  request.expect_continue = wire.bytes.size() > largest_accepted_;
  ++in_flight_;
  const Time begun = Clock::now();
  {
    const std::lock_guard lock(condition_mutex_);
    unanswered_since_.insert(begun);
  }
  client_.request(std::move(request), [this, part = std::move(part), node, begun](http::Response response) mutable {
    answered(std::move(part), node, begun, std::move(response));
  });
}

void Elasticsearch::answered(Part part, const std::string& node, Time begun, http::Response response) {
  {
    const std::lock_guard lock(condition_mutex_);
    unanswered_since_.erase(unanswered_since_.find(begun));
  }
  const bool full = in_flight_ >= concurrency_.limit() || !queue_.empty();
  --in_flight_;
  if (response.end != http::End::answered) {
    unanswered(std::move(part), node, response);
  } else {
    nodes_.up(node);
    if (response.status == 200) {
      const std::size_t bytes = wire_of(*part.sending->body, part.first, part.count).bytes.size();
      largest_accepted_ = std::max(largest_accepted_, bytes);
      concurrency_.answered(from_seconds(response.seconds), static_cast<double>(bytes), full, Clock::now());
      read_items(part, response);
    } else {
      refused(std::move(part), response);
    }
  }
  pump();
}

void Elasticsearch::read_items(const Part& part, const http::Response& response) {
  Sending& sending = *part.sending;
  const Body& body = *sending.body;
  const std::size_t sent = wire_of(body, part.first, part.count).items;
  const std::optional<BulkAnswer> answer = parse_bulk_answer(response.body, sent + guarded(part));
  if (!answer) {
    // Nobody knows what was applied: read again, send again.
    sending.result.answered = false;
    const AnswerItem error = parse_error(response.status, response.body);
    set_trouble("an answer that is no bulk answer: " + error.reason);
    return settle(part, Outcome::retry, "unreadable_answer", "the answer is no bulk answer: " + error.reason);
  }
  set_trouble({});
  if (answer->all_done) return close(part);

  sending.result.items.resize(body.items.size(), ItemResult{Outcome::done, {}, {}});
  bool slow = false;
  // Runs of neighbours that have to go alone: in one request less than this one, or in halves where they are all of it.
  std::vector<Part> runs;
  std::size_t at = 0;
  for (std::size_t i = part.first; i < part.first + part.count; ++i) {
    if (body.items[i].wire_size == 0) continue;
    const AnswerItem& item = answer->items[at++];
    const Outcome outcome =
        item_outcome(never_fits(item.reason) ? 413 : item.status, item.type, body.items[i].remove, sent == 1);
    slow |= outcome == Outcome::slow_down;
    if (outcome != Outcome::shrink) {
      const bool gone = item.type == index_not_found;
      sending.result.items[i] = {outcome, item.type, gone ? missing(sending.index, sending.delivery) : item.reason};
    } else if (!runs.empty() && runs.back().first + runs.back().count == i) {
      ++runs.back().count;
    } else {
      runs.push_back({part.sending, i, 1});
    }
  }
  if (slow) {
    concurrency_.overloaded(Clock::now());
    set_trouble("the target is overloaded and gets fewer requests at a time");
  }
  for (Part& run : runs) {
    ++sending.parts;
    if (run.count == sent)
      split(run);
    else
      again(std::move(run));
  }
  close(part);
}

void Elasticsearch::refused(Part part, const http::Response& response) {
  const AnswerItem error = parse_error(response.status, response.body);
  const Wire wire = wire_of(*part.sending->body, part.first, part.count);
  const bool large = response.status == 413 || never_fits(error.reason);
  const Outcome outcome = request_outcome(large ? 413 : response.status, error.type, wire.items == 1);
  if (outcome == Outcome::shrink) return split(part);
  if (outcome == Outcome::dead_letter) {
    set_trouble({});
    return settle(
        part, outcome, large ? "document_too_large" : error.type,
        large ? fmt::format("the target does not take a document of {} bytes", wire.bytes.size()) : error.reason);
  }
  if (outcome == Outcome::slow_down || response.status >= 500) concurrency_.overloaded(Clock::now());
  // Alone under way and still too much. Elasticsearch 9 counts a body piece by piece, so that its words never say that
  // the whole cannot fit. In halves then, but no further than to the least: it may be others who load the server.
  if (outcome == Outcome::slow_down && in_flight_ == 0 && wire.items > 1 && wire.bytes.size() > least_split) {
    set_trouble(words(error));
    return split(part);
  }
  if (applied_later(response.status, error.type)) part.sending->result.answered = false;
  set_trouble(words(error));
  settle(part, outcome, error.type, words(error));
}

void Elasticsearch::unanswered(Part part, const std::string& node, const http::Response& response) {
  Sending& sending = *part.sending;
  if (response.end == http::End::not_sent) {
    node_failed(node, response.error);
    return again(std::move(part));
  }
  sending.result.answered = false;
  concurrency_.overloaded(Clock::now());
  // A server may cut a body that is too large instead of answering 413. If it is down instead, the halves will not
  // leave.
  if (response.cut_short && wire_of(*sending.body, part.first, part.count).items > 1) return split(part);
  node_failed(node, response.error);
  settle(part, Outcome::retry, "no_answer", response.error);
}

void Elasticsearch::split(const Part& part) {
  const std::size_t half = part.count / 2;
  part.sending->parts += 2;
  again({part.sending, part.first, half});
  again({part.sending, part.first + half, part.count - half});
  close(part);
}

// In front of what its delivery has waiting: a piece of work ends sooner, and its memory with it.
void Elasticsearch::again(Part part) {
  const std::string delivery = part.sending->delivery;
  queue_.push_front(delivery, std::move(part));
}

// One outcome for all of a part that was sent; those that never could be keep theirs.
void Elasticsearch::settle(const Part& part, Outcome outcome, const std::string& type, const std::string& reason) {
  SendResult& result = part.sending->result;
  const Body& body = *part.sending->body;
  if (part.count == body.items.size() && result.items.empty()) {
    result.whole = outcome;
    result.type = type;
    result.reason = reason;
  } else {
    result.items.resize(body.items.size(), ItemResult{Outcome::done, {}, {}});
    for (std::size_t i = part.first; i < part.first + part.count; ++i)
      if (body.items[i].wire_size > 0) result.items[i] = {outcome, type, reason};
  }
  close(part);
}

void Elasticsearch::close(const Part& part) {
  Sending& sending = *part.sending;
  if (--sending.parts > 0) return;
  sending.result.seconds = seconds(Clock::now() - sending.begun);
  const Done done = std::move(sending.done);
  sending.body.reset();
  done(std::move(sending.result));
}

}  // namespace conveyor
