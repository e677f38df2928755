#include "http/upload.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>

#include <zlib.h>

namespace conveyor::http {

namespace {

constexpr int fastest_level = 1;      // JSON shrinks to a tenth already; more costs more than it saves
constexpr int gzip_window = 15 + 16;  // 32 KB, with gzip's header
constexpr int default_memory_level = 8;

}  // namespace

void Upload::EndDeflate::operator()(z_stream_s* stream) const {
  deflateEnd(stream);
  delete stream;
}

void Upload::open(std::string_view body, bool gzip) {
  rest_ = body;
  begun_ = false;
  ended_ = body.empty();
  deflate_.reset();
  if (!gzip) return;
  auto stream = std::make_unique<z_stream>();
  std::memset(stream.get(), 0, sizeof(z_stream));
  if (deflateInit2(stream.get(), fastest_level, Z_DEFLATED, gzip_window, default_memory_level, Z_DEFAULT_STRATEGY) !=
      Z_OK)
    throw std::runtime_error("could not start to compress a body");
  deflate_.reset(stream.release());
}

std::size_t Upload::read(char* into, std::size_t size) {
  if (ended_) return 0;
  begun_ = true;
  if (!deflate_) {
    const std::size_t given = std::min(size, rest_.size());
    std::memcpy(into, rest_.data(), given);
    rest_.remove_prefix(given);
    ended_ = rest_.empty();
    return given;
  }
  deflate_->next_out = reinterpret_cast<Bytef*>(into);
  deflate_->avail_out = static_cast<uInt>(size);
  while (deflate_->avail_out > 0 && !ended_) {
    const auto piece = std::min<std::size_t>(rest_.size(), std::numeric_limits<uInt>::max());
    deflate_->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(rest_.data()));
    deflate_->avail_in = static_cast<uInt>(piece);
    const int code = deflate(deflate_.get(), piece == rest_.size() ? Z_FINISH : Z_NO_FLUSH);
    rest_.remove_prefix(piece - deflate_->avail_in);
    ended_ = code == Z_STREAM_END;
  }
  return size - deflate_->avail_out;
}

}  // namespace conveyor::http
