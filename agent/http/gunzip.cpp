#include "http/gunzip.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace conveyor::http {

namespace {

constexpr std::string_view magic = "\x1f\x8b";
constexpr int gzip_window = 15 + 16;
constexpr std::size_t piece = 64u << 10;

}  // namespace

void Gunzip::EndInflate::operator()(z_stream_s* stream) const {
  inflateEnd(stream);
  delete stream;
}

void Gunzip::begin() {
  auto stream = std::make_unique<z_stream>();
  std::memset(stream.get(), 0, sizeof(z_stream));
  if (inflateInit2(stream.get(), gzip_window) != Z_OK) throw std::bad_alloc();
  inflate_.reset(stream.release());
  between_ = false;
}

void Gunzip::give(std::string_view bytes, const Take& take) {
  std::string begun;
  if (kind_ == Kind::unknown) {
    first_.append(bytes);
    if (first_.size() < magic.size()) return;
    kind_ = first_.starts_with(magic) ? Kind::gzip : Kind::plain;
    if (kind_ == Kind::gzip) begin();
    begun = std::exchange(first_, {});
    bytes = begun;
  }
  if (kind_ == Kind::plain)
    take(bytes);
  else
    inflate_all(bytes, take);
}

void Gunzip::inflate_all(std::string_view bytes, const Take& take) {
  std::string out(piece, '\0');
  while (!bytes.empty()) {
    if (between_) begin();
    const std::size_t given = std::min<std::size_t>(bytes.size(), std::numeric_limits<uInt>::max());
    inflate_->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    inflate_->avail_in = static_cast<uInt>(given);
    int code = Z_OK;
    // Also when all input has been taken, output may be left inside.
    do {
      inflate_->next_out = reinterpret_cast<Bytef*>(out.data());
      inflate_->avail_out = static_cast<uInt>(out.size());
      code = ::inflate(inflate_.get(), Z_NO_FLUSH);
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        throw GunzipError("it begins like gzip and cannot be decompressed");
      if (const std::size_t size = out.size() - inflate_->avail_out; size > 0) take({out.data(), size});
    } while (code == Z_OK && inflate_->avail_out == 0);
    between_ = code == Z_STREAM_END;
    bytes.remove_prefix(given - inflate_->avail_in);
  }
}

void Gunzip::finish(const Take& take) {
  if (kind_ == Kind::unknown && !first_.empty()) take(first_);
  if (kind_ == Kind::gzip && !between_) throw GunzipError("it is compressed with gzip, and its end is missing");
}

}  // namespace conveyor::http
