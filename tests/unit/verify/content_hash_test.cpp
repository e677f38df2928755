#include <gtest/gtest.h>

#include <set>
#include <string>

#include "verify/content_hash.hpp"

namespace conveyor {
namespace {

std::uint64_t hash(const std::string& text) { return content_hash(text.data(), text.size()); }

TEST(ContentHash, DependsOnEveryByteAndOnTheLength) {
  const std::string text = "{\"id\":1,\"name\":\"a document of some bytes\"}";
  std::set<std::uint64_t> seen{hash(text)};
  std::size_t expected = 1;
  for (std::size_t i = 0; i < text.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      std::string other = text;
      other[i] = static_cast<char>(other[i] ^ (1 << bit));
      seen.insert(hash(other));
      ++expected;
    }
  for (std::size_t size = 0; size < text.size(); ++size) {
    seen.insert(hash(text.substr(0, size)));
    ++expected;
  }
  // Zeros at the end are not the same as no bytes.
  for (std::size_t zeros = 1; zeros < 20; ++zeros) {
    seen.insert(hash(text + std::string(zeros, '\0')));
    ++expected;
  }
  EXPECT_EQ(seen.size(), expected);
}

TEST(ContentHash, DependsOnTheOrderOfWords) {
  EXPECT_NE(hash("aaaaaaaabbbbbbbb"), hash("bbbbbbbbaaaaaaaa"));
  EXPECT_NE(hash("aaaaaaaabbbbbbbbcccccccc"), hash("aaaaaaaaccccccccbbbbbbbb"));
}

TEST(ContentHash, BitsOfTheResultAreEvenlySet) {
  int ones[64] = {};
  constexpr int texts = 4000;
  for (int n = 0; n < texts; ++n) {
    const std::uint64_t value = hash("document " + std::to_string(n));
    for (int bit = 0; bit < 64; ++bit) ones[bit] += (value >> bit) & 1;
  }
  for (const int count : ones) EXPECT_NEAR(count, texts / 2, texts / 20);
}

}  // namespace
}  // namespace conveyor
