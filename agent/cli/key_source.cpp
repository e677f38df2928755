#include "cli/key_source.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "cli/configuration.hpp"
#include "decide/shown_address.hpp"
#include "http/download.hpp"
#include "http/gunzip.hpp"
#include "postgres/error.hpp"

namespace conveyor {

std::string KeySource::name() const {
  if (place == "-") return "standard input";
  return is_address(place) ? shown_address(place) : place;
}

OpenSource::OpenSource(KeySource source) : source_(std::move(source)) {
  if (is_address(source_.place)) {
    if (const std::string problem = address_problem(source_.place); !problem.empty()) throw UsageError(problem);
    return;
  }
  if (source_.place == "-") {
    descriptor_ = STDIN_FILENO;
    return;
  }
  descriptor_ = ::open(source_.place.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0)
    throw UsageError(fmt::format("could not open the file \"{}\": {}", source_.place, std::strerror(errno)));
  struct stat status {};
  if (::fstat(descriptor_, &status) == 0 && S_ISDIR(status.st_mode))
    throw UsageError(fmt::format("\"{}\" is a directory", source_.place));
}

OpenSource::~OpenSource() {
  if (descriptor_ > STDIN_FILENO) ::close(descriptor_);
}

void OpenSource::read(std::stop_token stop, const std::function<void(std::string_view)>& take,
                      const std::function<void(const std::string&)>& notice) {
  http::Gunzip gunzip;
  const auto plain = [&](std::string_view bytes) { gunzip.give(bytes, take); };
  try {
    if (descriptor_ >= 0) {
      read_descriptor(stop, plain);
    } else {
      http::DownloadSettings settings;
      settings.ca_file = source_.ca_file;
      http::download(source_.place, settings, stop, plain, notice);
    }
    gunzip.finish(take);
  } catch (const http::DownloadError& error) {
    throw SourceError(error.what(), error.never_connected);
  } catch (const http::GunzipError& error) {
    throw SourceError(fmt::format("could not read {}: {}", source_.name(), error.what()), false);
  }
}

void OpenSource::read_descriptor(const std::stop_token& stop, const std::function<void(std::string_view)>& take) {
  std::string piece(64u << 10, '\0');
  for (;;) {
    if (stop.stop_requested()) throw Stopped();
    // Standard input may have nothing to say for long.
    pollfd entry{descriptor_, POLLIN, 0};
    if (::poll(&entry, 1, 100) <= 0) continue;
    const ssize_t count = ::read(descriptor_, piece.data(), piece.size());
    if (count == 0) return;
    if (count > 0) {
      take({piece.data(), static_cast<std::size_t>(count)});
    } else if (errno != EINTR && errno != EAGAIN) {
      throw SourceError(fmt::format("could not read {}: {}", source_.name(), std::strerror(errno)), false);
    }
  }
}

}  // namespace conveyor
