// Reads the binary answers of the extension (docs/internals.md, section 4).
//
// An answer is a sequence of frames; each frame holds whole records. The first record is 'h', the last 'e' with the
// number of records between the two. An answer without its 'e', or with another number, was cut off and must not be
// acted on. Not thread-safe; one reader for one answer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace conveyor {

// One record; the views point into the frame that was given to FrameReader::open().
struct Record {
  char kind = 0;             // 'h' 'd' 'c' 'm' 'x' 'k' 's' 'e'
  char signal = 0;           // s: 't' truncated, 'r' re-check, 'o' overflow
  std::uint64_t number = 0;  // h: version of the snapshot; c: hash of the document; e: records before it
  std::string_view key;      // d c m x k
  std::string_view text;     // h: snapshot; d: document; x s: reason
  std::string_view type;     // x: type of the dead letter
};

class FrameReader {
 public:
  // The next frame of the answer; the one before must have been read to its end.
  void open(std::string_view frame);
  // The next record of the open frame; false at the frame's end and when something is wrong (see problem()).
  bool next(Record& record);

  bool failed() const { return !problem_.empty(); }
  // True once the 'e' record has come and every record before it too.
  bool complete() const { return ended_ && !failed(); }
  // What is wrong with the answer, for people; also says so where the end is missing. Empty when complete.
  std::string problem() const;

 private:
  bool number(std::uint64_t& value, unsigned bytes);
  bool bytes(std::string_view& value);
  bool fail(std::string_view problem);

  std::string_view rest_;
  std::uint64_t records_ = 0;
  bool begun_ = false;
  bool ended_ = false;
  std::string problem_;
};

}  // namespace conveyor
