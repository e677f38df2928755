// Hands a body to curl piece by piece, compressed on the way when asked. The body is read in place; compressing needs a
// window of 256 KB, whatever the body's size.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

struct z_stream_s;

namespace conveyor::http {

class Upload {
 public:
  // `body` must outlive the upload. Throws std::runtime_error when zlib has no memory.
  void open(std::string_view body, bool gzip);
  // The next piece, at most `size` bytes; 0: that was all.
  std::size_t read(char* into, std::size_t size);

  bool begun() const { return begun_; }
  bool ended() const { return ended_; }
  // Still at the beginning, so that it may be read (again) from there.
  bool untouched() const { return !begun_; }

 private:
  struct EndDeflate {
    void operator()(z_stream_s* stream) const;
  };

  std::string_view rest_;
  bool begun_ = false;
  bool ended_ = true;
  std::unique_ptr<z_stream_s, EndDeflate> deflate_;
};

}  // namespace conveyor::http
