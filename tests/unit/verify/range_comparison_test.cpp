#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "verify/content_hash.hpp"
#include "verify/range_comparison.hpp"

namespace conveyor {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::uint64_t hash(std::string_view text) { return content_hash(text.data(), text.size()); }

TEST(RangeComparison, WhatIsEqualOnBothSidesIsNotSuspected) {
  RangeComparison comparison;
  comparison.expect("1", hash("one"));
  comparison.expect("2", hash("two"));
  comparison.found("2", "two", false);
  comparison.found("1", "one", false);
  EXPECT_THAT(comparison.suspects(), IsEmpty());
  EXPECT_EQ(comparison.expected(), 2u);
  EXPECT_EQ(comparison.bytes(), 6u);
}

TEST(RangeComparison, MissingExtraAndDifferentDocumentsAreSuspected) {
  RangeComparison comparison;
  comparison.expect("missing", hash("a"));
  comparison.expect("different", hash("b"));
  comparison.expect("equal", hash("c"));
  comparison.found("different", "B", false);
  comparison.found("equal", "c", false);
  comparison.found("extra", "d", false);
  EXPECT_THAT(comparison.suspects(), ElementsAre("different", "extra", "missing"));
}

TEST(RangeComparison, ADocumentThatComesTwiceIsSuspectedOnlyWhereOneIsUnlike) {
  RangeComparison comparison;
  comparison.expect("1", hash("a"));
  comparison.expect("2", hash("b"));
  comparison.found("1", "a", false);
  comparison.found("1", "a", false);
  comparison.found("2", "x", false);
  comparison.found("2", "b", false);
  EXPECT_THAT(comparison.suspects(), ElementsAre("2"));
}

TEST(RangeComparison, WhatCannotBeDeliveredAndWhatStandsElsewhereIsSuspected) {
  RangeComparison comparison;
  comparison.expect_none("duplicate");
  comparison.expect("routed", hash("a"));
  comparison.found("routed", "a", true);
  EXPECT_THAT(comparison.suspects(), ElementsAre("duplicate", "routed"));
}

TEST(SameOrder, NeedsATypeThatBothSidesOrderAlike) {
  EXPECT_TRUE(same_order("int8", "long"));
  EXPECT_TRUE(same_order("int4", "integer"));
  EXPECT_TRUE(same_order("uuid", "keyword"));
  // As words, 10 comes before 9; a collation is not the order of bytes; a double is not exact.
  EXPECT_FALSE(same_order("int8", "keyword"));
  EXPECT_FALSE(same_order("text", "keyword"));
  EXPECT_FALSE(same_order("text", "text"));
  EXPECT_FALSE(same_order("numeric", "double"));
  EXPECT_FALSE(same_order("int8", ""));
}

TEST(RangeDocuments, FollowTheSizeOfDocuments) {
  EXPECT_EQ(range_documents(0, 0), 500);
  EXPECT_EQ(range_documents(1000, 600'000), 5000);
  EXPECT_EQ(range_documents(100, 100ull * 100'000), 41);
  EXPECT_EQ(range_documents(10, 10ull * 50'000'000), 10);
  EXPECT_EQ(range_documents(1000, 0), 5000);
}

}  // namespace
}  // namespace conveyor
