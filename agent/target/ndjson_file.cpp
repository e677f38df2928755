#include "target/ndjson_file.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace conveyor {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view whole_suffix = ".ndjson";
constexpr std::string_view part_suffix = ".ndjson.part";

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return number_; }

 private:
  int number_;
};

std::string path_of(const std::string& folder, const std::string& name, std::uint64_t number, std::string_view suffix) {
  return fmt::format("{}/{}-{:06}{}", folder, name, number, suffix);
}

// The number in "<name>-<number><suffix>".
std::optional<std::uint64_t> number_of(std::string_view file, std::string_view name, std::string_view suffix) {
  if (!file.starts_with(name) || !file.ends_with(suffix) || file.size() <= name.size() + 1 + suffix.size())
    return std::nullopt;
  if (file[name.size()] != '-') return std::nullopt;
  const std::string_view digits = file.substr(name.size() + 1, file.size() - name.size() - 1 - suffix.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

std::uint64_t last_number(const std::string& folder, const std::string& name) {
  std::uint64_t last = 0;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string file = entry.path().filename();
    for (const std::string_view suffix : {whole_suffix, part_suffix})
      if (const auto number = number_of(file, name, suffix)) last = std::max(last, *number);
  }
  return last;
}

// Gives a part its last name, a later number where that one is taken: never over another file.
IoError publish(const std::string& folder, const std::string& name, const std::string& part, std::uint64_t number) {
  for (;; ++number) {
    const std::string whole = path_of(folder, name, number, whole_suffix);
    if (::renameat2(AT_FDCWD, part.c_str(), AT_FDCWD, whole.c_str(), RENAME_NOREPLACE) == 0) break;
    if (errno == EEXIST) continue;
    if (errno != EINVAL && errno != ENOSYS) return io_error(fmt::format("could not rename file \"{}\"", part));
    // A file system without that call.
    struct stat found;
    if (::stat(whole.c_str(), &found) == 0) continue;
    if (::rename(part.c_str(), whole.c_str()) != 0) return io_error(fmt::format("could not rename file \"{}\"", part));
    break;
  }
  return sync_folder(folder);
}

IoError recover_part(const std::string& folder, const std::string& name, const std::string& part,
                     std::uint64_t number) {
  const Descriptor file(::open(part.c_str(), O_RDWR | O_CLOEXEC));
  if (file.get() < 0) return errno == ENOENT ? IoError{} : io_error(fmt::format("could not open file \"{}\"", part));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return {};  // someone is writing it
  struct stat found;
  if (::fstat(file.get(), &found) != 0) return io_error(fmt::format("could not examine file \"{}\"", part));
  const auto size = static_cast<std::size_t>(found.st_size);
  std::size_t kept = 0;
  if (size > 0) {
    void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (mapped == MAP_FAILED) return io_error(fmt::format("could not read file \"{}\"", part));
    kept = whole_actions({static_cast<const char*>(mapped), size});
    ::munmap(mapped, size);
  }
  if (kept == 0) {
    if (::unlink(part.c_str()) != 0) return io_error(fmt::format("could not remove file \"{}\"", part));
    return sync_folder(folder);
  }
  if (kept < size && ::ftruncate(file.get(), static_cast<off_t>(kept)) != 0)
    return io_error(fmt::format("could not truncate file \"{}\"", part));
  if (::fsync(file.get()) != 0) return io_error(fmt::format("could not synchronise file \"{}\"", part));
  return publish(folder, name, part, number);
}

}  // namespace

IoError io_error(const std::string& doing) {
  const int number = errno;
  return {number, fmt::format("{}: {}", doing, std::strerror(number))};
}

IoError sync_folder(const std::string& folder) {
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || ::fsync(directory.get()) != 0)
    return io_error(fmt::format("could not synchronise directory \"{}\"", folder));
  return {};
}

std::size_t whole_actions(std::string_view bytes) {
  std::size_t kept = 0;
  while (kept < bytes.size()) {
    const std::string_view rest = bytes.substr(kept);
    const bool index = rest.starts_with(R"({"index":{)");
    if (!index && !rest.starts_with(R"({"delete":{)")) break;
    std::size_t end = rest.find('\n');
    if (end == std::string_view::npos || rest[end - 1] != '}') break;
    if (index) {
      const std::size_t document = end + 1;
      end = rest.find('\n', document);
      // A page that never reached the disk reads as zeros.
      if (end == std::string_view::npos || rest[document] == '\0' || rest[end - 1] == '\0') break;
    }
    kept += end + 1;
  }
  return kept;
}

IoError recover(const std::string& folder, const std::string& name) {
  std::vector<std::pair<std::string, std::uint64_t>> parts;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error))
    if (const auto number = number_of(entry.path().filename().string(), name, part_suffix))
      parts.emplace_back(entry.path(), *number);
  if (error) return {error.value(), fmt::format("could not read directory \"{}\": {}", folder, error.message())};
  for (const auto& [part, number] : parts)
    if (IoError failed = recover_part(folder, name, part, number)) return failed;
  return {};
}

NdjsonFile::~NdjsonFile() {
  if (file_ >= 0) ::close(file_);
}

IoError NdjsonFile::open() {
  for (number_ = last_number(folder_, name_) + 1;; ++number_) {
    part_ = path_of(folder_, name_, number_, part_suffix);
    file_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
    if (file_ >= 0) break;
    if (errno != EEXIST) return io_error(fmt::format("could not create file \"{}\"", part_));
  }
  written_ = synced_ = 0;
  if (::flock(file_, LOCK_EX | LOCK_NB) != 0) return io_error(fmt::format("could not lock file \"{}\"", part_));
  return sync_folder(folder_);
}

IoError NdjsonFile::append(std::string_view bytes) {
  if (file_ < 0)
    if (IoError failed = open()) return failed;
  while (!bytes.empty()) {
    const ssize_t count = ::write(file_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return io_error(fmt::format("could not write file \"{}\"", part_));
    written_ += static_cast<std::uint64_t>(count);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

IoError NdjsonFile::sync() {
  if (file_ < 0 || written_ == synced_) return {};
  if (::fdatasync(file_) != 0) return io_error(fmt::format("could not synchronise file \"{}\"", part_));
  // Someone removed it while it was open: the bytes went nowhere.
  struct stat found;
  if (::fstat(file_, &found) != 0 || found.st_nlink == 0) {
    errno = ENOENT;
    return io_error(fmt::format("file \"{}\" was removed", part_));
  }
  synced_ = written_;
  return {};
}

IoError NdjsonFile::seal() {
  if (file_ < 0) return {};
  if (synced_ < written_ && ::ftruncate(file_, static_cast<off_t>(synced_)) != 0)
    return io_error(fmt::format("could not truncate file \"{}\"", part_));
  IoError failed;
  if (synced_ == 0) {
    if (::unlink(part_.c_str()) != 0) failed = io_error(fmt::format("could not remove file \"{}\"", part_));
  } else {
    failed = publish(folder_, name_, part_, number_);
  }
  if (failed) return failed;
  ::close(file_);
  file_ = -1;
  written_ = synced_ = 0;
  return {};
}

void NdjsonFile::abandon() {
  if (file_ < 0 || !seal()) return;
  ::close(file_);
  file_ = -1;
  written_ = synced_ = 0;
}

}  // namespace conveyor
