// Where a list of ids comes from: a file, standard input, an address. Read as a stream, gzip undone.
#pragma once

#include <functional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>

namespace conveyor {

struct KeySource {
  std::string place;    // FILE, - or http(s)://…
  std::string ca_file;  // for https; empty: the system's

  // What people read, and what is stored: without the query of an address.
  std::string name() const;
};

class SourceError : public std::runtime_error {
 public:
  SourceError(const std::string& message, bool never) : std::runtime_error(message), could_not_connect(never) {}
  bool could_not_connect;
};

// An open source. Opening throws UsageError when there is no such file or the address is no address.
class OpenSource {
 public:
  explicit OpenSource(KeySource source);
  OpenSource(const OpenSource&) = delete;
  OpenSource& operator=(const OpenSource&) = delete;
  ~OpenSource();

  // Gives all of it to `take`, piece by piece. Throws SourceError, Stopped, and what `take` throws.
  void read(std::stop_token stop, const std::function<void(std::string_view)>& take,
            const std::function<void(const std::string&)>& notice);

 private:
  void read_descriptor(const std::stop_token& stop, const std::function<void(std::string_view)>& take);

  KeySource source_;
  int descriptor_ = -1;  // of a file; -1: an address
};

}  // namespace conveyor
