// Text that may be compressed: gzip is recognised by its first bytes and undone piece by piece, anything else passes.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

struct z_stream_s;

namespace conveyor::http {

class GunzipError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Gunzip {
 public:
  using Take = std::function<void(std::string_view)>;

  // Throws GunzipError when the bytes are not what their beginning promised.
  void give(std::string_view bytes, const Take& take);
  // Throws GunzipError when the end is missing.
  void finish(const Take& take);

 private:
  enum class Kind { unknown, plain, gzip };
  struct EndInflate {
    void operator()(z_stream_s* stream) const;
  };

  void begin();
  void inflate_all(std::string_view bytes, const Take& take);

  Kind kind_ = Kind::unknown;
  std::string first_;
  std::unique_ptr<z_stream_s, EndInflate> inflate_;
  bool between_ = false;  // a member has ended; another one may follow
};

}  // namespace conveyor::http
