// What the agent is to do: command line over configuration file over defaults.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace conveyor {

struct Configuration {
  std::vector<std::string> databases;  // conninfo; empty: libpq's environment decides
  std::string name;                    // empty: host name and process id
  std::vector<std::string> tags;
  std::string http;                // ADDRESS:PORT; empty: no HTTP server
  std::size_t memory = 24u << 20;  // bytes of documents on their way, over all targets
  int connections = 16;            // to each database, beside the control connection
  std::string log_level = "info";
};

struct HttpAddress {
  std::string host;
  int port = 0;
};

// A mistake of whoever wrote the command line or the file: one line, exit status 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Reads the TOML file over `configuration`. Secrets of targets stand in files that it names; they become the
// environment variables that targets read, unless those are set. Throws UsageError.
void read_configuration(const std::string& path, Configuration& configuration);

// "127.0.0.1:9187", "[::1]:9187", ":9187" (loopback). Throws UsageError.
HttpAddress parse_http_address(const std::string& text);
// "32MB", "64 MiB", "1048576". Throws UsageError.
std::size_t parse_bytes(const std::string& text);

}  // namespace conveyor
