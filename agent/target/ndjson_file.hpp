// One destination's files: `<name>-<number>.ndjson`, whole and never touched again, and at most one `….ndjson.part`
// that is being written. Bytes count as written when sync() has returned without an error.
//
// A part that a crash left behind may hold acknowledged documents: recover() cuts off what is torn at its end and makes
// it a whole file. A part is locked (flock) while it is written, so that no other process takes it for a survivor.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace conveyor {

// A failed system call; number 0: none failed.
struct IoError {
  int number = 0;
  std::string text;  // "could not write file "…": No space left on device"
  explicit operator bool() const { return number != 0; }
};

class NdjsonFile {
 public:
  NdjsonFile(std::string folder, std::string name) : folder_(std::move(folder)), name_(std::move(name)) {}
  ~NdjsonFile();
  NdjsonFile(const NdjsonFile&) = delete;
  NdjsonFile& operator=(const NdjsonFile&) = delete;

  IoError append(std::string_view bytes);
  IoError sync();
  // Makes the part a whole file, if there is one; what is not synced is cut off first.
  IoError seal();
  // After an error: back to what was synced, as a whole file where that can be done. Never fails; a part stays for
  // recover() at worst.
  void abandon();

  std::uint64_t size() const { return written_; }

 private:
  IoError open();

  std::string folder_, name_, part_;
  std::uint64_t number_ = 0;
  std::uint64_t written_ = 0, synced_ = 0;  // bytes
  int file_ = -1;
};

// Makes whole files of the parts that no living process writes.
IoError recover(const std::string& folder, const std::string& name);

// Length of the longest prefix that is made of whole bulk actions.
std::size_t whole_actions(std::string_view bytes);

IoError sync_folder(const std::string& folder);
IoError io_error(const std::string& doing);  // from errno

}  // namespace conveyor
