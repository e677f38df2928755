// A file at an address, read as a stream: as fast as it is taken, in bounded memory, and to its end although the
// connection is cut (decide/download_plan.hpp).
#pragma once

#include <functional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>

#include "decide/clock.hpp"

namespace conveyor::http {

struct DownloadSettings {
  std::string ca_file;  // PEM; empty: the system's
  Duration connect_timeout = std::chrono::seconds(10);
  Duration stall_timeout = std::chrono::seconds(30);  // without a byte: the connection counts as cut
  Duration retry_delay = std::chrono::milliseconds(500);
  Duration max_retry_delay = std::chrono::seconds(15);
  int most_fruitless = 8;  // attempts in a row that bring nothing
};

class DownloadError : public std::runtime_error {
 public:
  DownloadError(const std::string& message, bool unreachable)
      : std::runtime_error(message), never_connected(unreachable) {}
  bool never_connected;
};

// Gives the file to `take`, piece by piece. `notice` is told why it asks again. Neither text nor errors have the
// address's query in them. Throws DownloadError, Stopped, and what `take` throws.
void download(const std::string& address, const DownloadSettings& settings, std::stop_token stop,
              const std::function<void(std::string_view)>& take, const std::function<void(const std::string&)>& notice);

}  // namespace conveyor::http
