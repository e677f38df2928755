// Elasticsearch and OpenSearch, by what all their supported versions have in common.
//
// Sending: bodies wait in a queue in which deliveries take turns; as many requests as the cluster can take are under
// way. A request that is refused for its size or for one of its documents is sent again in halves, down to the one at
// fault, so that send() never ends in Outcome::shrink. Halves are slices of the one body: nothing is copied.
//
// What is sent goes to an alias that only our index has, and never makes an index (elasticsearch_names.hpp). Before a
// destination is written to, and every few seconds while it is, the index's uuid and the mark in its _meta are looked
// at: one that was restored from a snapshot has the alias too, and older documents.
//
// Threads: all state of sending lives on the HTTP client's thread and has no lock; what condition() needs has one.
#pragma once

#include <map>
#include <mutex>
#include <set>

#include "decide/concurrency.hpp"
#include "decide/fair_queue.hpp"
#include "decide/json.hpp"
#include "decide/nodes.hpp"
#include "http/client.hpp"
#include "target/elasticsearch_options.hpp"
#include "target/stored_documents.hpp"
#include "target/target.hpp"

namespace conveyor {

class Elasticsearch final : public Target {
 public:
  Elasticsearch(ElasticsearchOptions options, std::string secret);

  void append_document(Body& body, std::string_view key, std::uint64_t version,
                       std::string_view document) const override;
  void append_delete(Body& body, std::string_view key, std::uint64_t version) const override;
  void send(const Destination& destination, std::shared_ptr<const Body> body, Done done) override;
  Result<IndexState> prepare(Destination& destination, const IndexState& stored, bool will_fill) override;
  Result<IndexState> finish_fill(const Destination& destination, const IndexState& stored) override;
  bool can_list_ids() const override { return true; }
  Result<IdPage> list_ids(const Destination& destination, const std::string& position) override;
  Result<std::string> field_type(const Destination& destination, const std::string& field) override;
  Result<bool> refresh(const Destination& destination) override;
  Result<bool> read(const Destination& destination, const ReadBack& wanted,
                    const std::function<void(const StoredDocument&)>& take) override;
  Result<bool> remove_destination(const Destination& destination, const IndexState& stored) override;
  Result<std::vector<bool>> have_ids(const Destination& destination, const std::vector<std::string>& ids) override;
  Result<std::string> unready(const Destination& destination, const std::string& other) override;
  Result<bool> lead_name(const Destination& destination, const std::string& to, const std::string& from) override;
  void reconfigure(const std::string& options) override;
  std::string condition() const override;

 private:
  // One send(), until all its parts are settled.
  struct Sending {
    std::string delivery, index, origin;
    bool gzip = false;
    std::shared_ptr<const Body> body;
    Done done;
    SendResult result;
    std::size_t parts = 1;
    Time begun;
  };
  // Items first … first + count - 1 of a body: what one request carries.
  struct Part {
    std::shared_ptr<Sending> sending;
    std::size_t first, count;
  };
  // What is known of a concrete index, and the parts that wait for it to be known.
  struct Checked {
    std::string uuid{};  // empty: not known
    Time at{};
    bool asking = false;
    std::vector<Part> waiting{};
  };

  // elasticsearch_watch.cpp
  bool ready(Part& part, const std::string& node);
  void checked(const std::string& index, const std::string& node, http::Response response);
  void node_failed(const std::string& node, const std::string& reason);
  void probe(const std::string& node);

  // elasticsearch_send.cpp
  void pump();
  static bool guarded(const Part& part);
  void request(Part part, const std::string& node);
  void answered(Part part, const std::string& node, Time begun, http::Response response);
  void read_items(const Part& part, const http::Response& response);
  void refused(Part part, const http::Response& response);
  void unanswered(Part part, const std::string& node, const http::Response& response);
  void split(const Part& part);
  void again(Part part);
  void settle(const Part& part, Outcome outcome, const std::string& type, const std::string& reason);
  void close(const Part& part);
  void give_up_queue();
  void set_trouble(std::string trouble);

  // elasticsearch_ids.cpp
  struct Answer {
    int status = 0;
    std::string body, type, reason;
  };
  Result<Answer> ask(const std::string& method, const std::string& path, const std::string& body = {},
                     std::size_t most_bytes = 64u << 20);
  static Failure failure_of(const Answer& answer, const std::string& doing);

  // elasticsearch_read.cpp
  Result<SearchAnswer> search(const std::string& path, const std::string& body, const Destination& destination,
                              const std::function<void(const StoredDocument&)>& take);

  // elasticsearch_index.cpp
  struct Found {
    std::string uuid;
    bool has_name = false, has_write = false;
    Json aliases;  // by name, as they are defined
  };
  Result<std::optional<Found>> look(const Destination& destination, const std::string& index);
  Result<std::vector<std::string>> named_indices(const Destination& destination);
  Result<bool> add_aliases(const Destination& destination, const std::string& index, bool named);
  Result<bool> change_aliases(json_t* actions, const std::string& doing);
  Result<IndexState> create(const Destination& destination, const std::string& index, bool named, bool will_fill);
  Result<IndexState> adopt(const Destination& destination, const std::string& index, bool will_fill);

  // elasticsearch_rebuild.cpp
  struct Copies {
    double active = 0, wished = 0;  // of each shard
    bool moving = false;            // one is being made
  };
  Result<std::optional<Copies>> copies_of(const std::string& index);

  const std::string secret_;
  Nodes nodes_;

  // On the client's thread only.
  FairQueue<Part> queue_;
  std::map<std::string, Checked> checked_;
  Concurrency concurrency_;
  int in_flight_ = 0;
  Duration request_timeout_;
  std::size_t largest_accepted_ = 1 << 20;  // bytes: a larger body first asks whether it may come

  mutable std::mutex condition_mutex_;
  std::string trouble_, bad_options_;
  std::multiset<Time> unanswered_since_;  // when the requests under way were begun

  http::Client client_;  // last: it ends first, and its last callbacks find everything else in place
};

}  // namespace conveyor
