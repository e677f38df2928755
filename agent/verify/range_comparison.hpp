// One range of a verification: what the view has against what a search gave back. Pure; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace conveyor {

class RangeComparison {
 public:
  // The view has a document of this hash; or one that cannot be delivered.
  void expect(std::string_view key, std::uint64_t content) { expected_[std::string(key)] = {content, Seen::no}; }
  void expect_none(std::string_view key) { expected_[std::string(key)] = {0, Seen::different}; }
  // The target has a document, with these bytes; the same one may come twice.
  void found(const std::string& id, std::string_view source, bool misplaced);

  std::size_t expected() const { return expected_.size(); }
  std::size_t bytes() const { return bytes_; }  // of the documents found
  std::vector<std::string> expected_keys() const;
  // Keys whose documents seem to be missing, different, or too many.
  std::vector<std::string> suspects() const;

 private:
  enum class Seen { no, equal, different };
  struct Expected {
    std::uint64_t content;
    Seen seen;
  };
  std::unordered_map<std::string, Expected> expected_;
  std::vector<std::string> extra_;
  std::size_t bytes_ = 0;
};

// Whether ranges of a key column hold the same documents when they are asked for by the field of its name: both sides
// must order its values alike. Types by their names in pg_type, and of the field's mapping.
bool same_order(std::string_view column_type, std::string_view field_type);

// How many documents the next range should have, by the size of those seen so far.
int range_documents(std::uint64_t documents, std::uint64_t bytes);

}  // namespace conveyor
