// The kinds of targets, by the names that create_target() takes.
#include <fmt/format.h>

#include "target/elasticsearch.hpp"
#include "target/ndjson.hpp"

namespace conveyor {

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
