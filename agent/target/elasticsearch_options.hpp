// What an `elasticsearch` target can be told (create_target(), alter_target()), and the secrets it finds in the
// environment.
#pragma once

#include <string>
#include <vector>

#include "http/client.hpp"
#include "target/target.hpp"

namespace conveyor {

struct ElasticsearchOptions {
  std::vector<std::string> urls;  // without a slash at the end
  int max_in_flight = 8;          // requests at once, all deliveries together
  http::Settings http;
};

// `options`: JSON text. `secret` names CONVEYOR_<SECRET>_PASSWORD and CONVEYOR_<SECRET>_API_KEY.
Result<ElasticsearchOptions> read_elasticsearch_options(const std::string& options, const std::string& secret);

// CONVEYOR_<SECRET>_<WHAT>: capitals, and what is neither letter nor digit becomes an underscore.
std::string secret_variable(const std::string& secret, const std::string& what);

}  // namespace conveyor
