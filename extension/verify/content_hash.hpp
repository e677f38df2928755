// The hash by which a document here and its copy in a target are compared: 64 bits over the bytes as they are sent.
//
// Needs no server: the agent computes it too, over what a target gives back, so both must be built from this one file.
// It finds accidents, it does not withstand an adversary: two different documents agree once in 2^64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace conveyor {

namespace content {

// Odd, and without any pattern in their bits.
constexpr std::uint64_t kSpread = 0xd6e8feb86659fd93u;
constexpr std::uint64_t kStep = 0xa0761d6478bd642fu;

// The eight bytes as one number, whatever the machine's byte order is.
inline std::uint64_t word(const char* at) {
  std::uint64_t value;
  std::memcpy(&value, at, sizeof value);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  value = __builtin_bswap64(value);
#endif
  return value;
}

// Every bit of the argument reaches every bit of the result; no two arguments have one result.
inline std::uint64_t scatter(std::uint64_t value) {
  value = (value ^ (value >> 32)) * kSpread;
  value = (value ^ (value >> 29)) * kSpread;
  return value ^ (value >> 32);
}

}  // namespace content

inline std::uint64_t content_hash(const char* bytes, std::size_t size) {
  std::uint64_t hash = content::scatter(size + content::kStep);
  const char* const end = bytes + size;
  for (; end - bytes >= 8; bytes += 8) {
    hash = (hash ^ content::word(bytes)) * content::kStep;
    hash ^= hash >> 31;
  }
  char last[8] = {};
  if (end > bytes) std::memcpy(last, bytes, static_cast<std::size_t>(end - bytes));
  return content::scatter(hash ^ content::word(last));
}

}  // namespace conveyor
