#include "verify/range_comparison.hpp"

#include <algorithm>

#include "verify/content_hash.hpp"

namespace conveyor {

namespace {

// Below what one search may return, and few megabytes of documents.
constexpr std::uint64_t most_documents = 5000, least_documents = 10, first_documents = 500;
constexpr std::uint64_t range_bytes = 4u << 20;

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

void RangeComparison::found(const std::string& id, std::string_view source, bool misplaced) {
  bytes_ += source.size();
  const auto expected = expected_.find(id);
  if (expected == expected_.end()) {
    extra_.push_back(id);
    return;
  }
  const bool equal = !misplaced && expected->second.seen != Seen::different &&
                     content_hash(source.data(), source.size()) == expected->second.content;
  expected->second.seen = equal ? Seen::equal : Seen::different;
}

std::vector<std::string> RangeComparison::expected_keys() const {
  std::vector<std::string> keys;
  keys.reserve(expected_.size());
  for (const auto& [key, expected] : expected_) keys.push_back(key);
  return keys;
}

std::vector<std::string> RangeComparison::suspects() const {
  std::vector<std::string> keys = extra_;
  for (const auto& [key, expected] : expected_)
    if (expected.seen != Seen::equal) keys.push_back(key);
  std::ranges::sort(keys);
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

bool same_order(std::string_view column_type, std::string_view field_type) {
  if (is_one_of(column_type, {"int2", "int4", "int8"}))
    return is_one_of(field_type, {"long", "integer", "short", "byte"});
  // Both by their bytes: an uuid's text has its digits, all in lower case, and hyphens in fixed places.
  return column_type == "uuid" && field_type == "keyword";
}

int range_documents(std::uint64_t documents, std::uint64_t bytes) {
  if (documents == 0) return first_documents;
  const std::uint64_t each = std::max<std::uint64_t>(1, bytes / documents);
  return static_cast<int>(std::clamp(range_bytes / each, least_documents, most_documents));
}

}  // namespace conveyor
