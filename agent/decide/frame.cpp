#include "decide/frame.hpp"

#include <fmt/format.h>

namespace conveyor {

void FrameReader::open(std::string_view frame) {
  if (!failed() && !rest_.empty()) fail("a frame was left before its end");
  rest_ = frame;
}

bool FrameReader::next(Record& record) {
  if (failed() || rest_.empty()) return false;
  if (ended_) return fail("bytes after the last record");
  const char kind = rest_.front();
  rest_.remove_prefix(1);
  if (!begun_ && kind != 'h') return fail("the first record is not a header");
  record = Record{};
  record.kind = kind;
  std::uint64_t signal = 0;
  bool whole = false;
  switch (kind) {
    case 'h':
      if (begun_) return fail("a second header");
      begun_ = true;
      whole = number(record.number, 8) && bytes(record.text);
      break;
    case 'd':
      whole = bytes(record.key) && bytes(record.text);
      break;
    case 'c':
      whole = bytes(record.key) && number(record.number, 8);
      break;
    case 'm':
    case 'k':
      whole = bytes(record.key);
      break;
    case 'x':
      whole = bytes(record.key) && bytes(record.type) && bytes(record.text);
      break;
    case 's':
      whole = number(signal, 1) && bytes(record.text);
      record.signal = static_cast<char>(signal);
      break;
    case 'e':
      whole = number(record.number, 8);
      break;
    default:
      return fail(fmt::format("a record of unknown kind {}", static_cast<int>(static_cast<unsigned char>(kind))));
  }
  if (!whole) return fail("a record runs over its frame's end");
  if (kind == 'e') {
    if (record.number != records_)
      return fail(fmt::format("{} records announced, {} received", record.number, records_));
    ended_ = true;
  } else if (kind != 'h') {
    ++records_;
  }
  return true;
}

std::string FrameReader::problem() const {
  if (failed()) return problem_;
  if (!ended_) return fmt::format("the answer of the database was cut off after {} records", records_);
  return {};
}

bool FrameReader::number(std::uint64_t& value, unsigned size) {
  if (rest_.size() < size) return false;
  value = 0;
  for (unsigned i = 0; i < size; ++i)
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(rest_[i])) << (8 * i);
  rest_.remove_prefix(size);
  return true;
}

bool FrameReader::bytes(std::string_view& value) {
  std::uint64_t size = 0;
  if (!number(size, 4) || rest_.size() < size) return false;
  value = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return true;
}

bool FrameReader::fail(std::string_view problem) {
  problem_ = fmt::format("the answer of the database cannot be read: {}", problem);
  return false;
}

}  // namespace conveyor
