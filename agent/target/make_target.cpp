// The kinds of targets, by the names that create_target() takes.
#include <fmt/format.h>

#include "target/elasticsearch.hpp"
#include "target/ndjson.hpp"

namespace conveyor {

namespace {

template <typename T>
Result<T> no_second_index() {
  return {std::nullopt, {Outcome::hold, "this kind of target has no indices that could be rebuilt"}};
}

}  // namespace

Result<std::vector<bool>> Target::have_ids(const Destination&, const std::vector<std::string>&) {
  return no_second_index<std::vector<bool>>();
}

Result<std::string> Target::unready(const Destination&, const std::string&) { return no_second_index<std::string>(); }

Result<bool> Target::lead_name(const Destination&, const std::string&, const std::string&) {
  return no_second_index<bool>();
}

Result<std::unique_ptr<Target>> make_target(const std::string& kind, const std::string& options,
                                            const std::string& secret) {
  if (kind == "elasticsearch") {
    Result<ElasticsearchOptions> read = read_elasticsearch_options(options, secret);
    if (!read) return {std::nullopt, read.failure};
    return {std::make_unique<Elasticsearch>(std::move(*read.value), secret), {}};
  }
  if (kind == "ndjson") {
    Result<NdjsonOptions> read = read_ndjson_options(options);
    if (!read) return {std::nullopt, read.failure};
    return {std::make_unique<Ndjson>(std::move(*read.value)), {}};
  }
  return {std::nullopt,
          {Outcome::hold, fmt::format("this agent knows no kind of target named \"{}\"; run a newer one", kind)}};
}

}  // namespace conveyor
