#include "decide/frame.hpp"

#include <gtest/gtest.h>

#include <string>

namespace conveyor {
namespace {

std::string number(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}
std::string text(const std::string& value) { return number(value.size(), 4) + value; }
std::string header(std::uint64_t version) { return "h" + number(version, 8) + text("10:20:11"); }
std::string document(const std::string& key, const std::string& json) { return "d" + text(key) + text(json); }
std::string end(std::uint64_t records) { return "e" + number(records, 8); }

TEST(Frame, EveryKindOfRecordIsRead) {
  const std::string frame = header(0x0001000000000007) + document("k1", R"({"a":1})") + "m" + text("k2") + "x" +
                            text("k3") + text("duplicate_key") + text("two rows") + "k" + text("k4") + "c" +
                            text("k5") + number(0xfedcba9876543210, 8) + "st" + text("truncated") + end(6);
  FrameReader reader;
  reader.open(frame);
  Record r;
  ASSERT_TRUE(reader.next(r));
  EXPECT_EQ(r.kind, 'h');
  EXPECT_EQ(r.number, 0x0001000000000007u);
  EXPECT_EQ(r.text, "10:20:11");
  ASSERT_TRUE(reader.next(r));
  EXPECT_EQ(r.key, "k1");
  EXPECT_EQ(r.text, R"({"a":1})");
  ASSERT_TRUE(reader.next(r));
  EXPECT_EQ(r.kind, 'm');
  EXPECT_EQ(r.key, "k2");
  ASSERT_TRUE(reader.next(r));
  EXPECT_EQ(r.type, "duplicate_key");
  EXPECT_EQ(r.text, "two rows");
  ASSERT_TRUE(reader.next(r));
  EXPECT_EQ(r.key, "k4");
  ASSERT_TRUE(reader.next(r));
  EXPECT_EQ(r.kind, 'c');
  EXPECT_EQ(r.key, "k5");
  EXPECT_EQ(r.number, 0xfedcba9876543210u);
  ASSERT_TRUE(reader.next(r));
  EXPECT_EQ(r.signal, 't');
  EXPECT_FALSE(reader.complete());
  ASSERT_TRUE(reader.next(r));
  EXPECT_EQ(r.kind, 'e');
  EXPECT_FALSE(reader.next(r));
  EXPECT_TRUE(reader.complete()) << reader.problem();
}

TEST(Frame, AnAnswerMayComeInManyFrames) {
  FrameReader reader;
  Record r;
  for (const std::string& frame : {header(1), document("a", "{}"), document("b", "{}") + end(2)}) {
    EXPECT_FALSE(reader.complete());
    reader.open(frame);
    while (reader.next(r)) {
    }
  }
  EXPECT_TRUE(reader.complete()) << reader.problem();
}

TEST(Frame, AnAnswerWithoutItsEndIsNeverComplete) {
  FrameReader reader;
  const std::string frame = header(1) + document("a", "{}");
  reader.open(frame);
  Record r;
  while (reader.next(r)) {
  }
  EXPECT_FALSE(reader.complete());
  EXPECT_NE(reader.problem().find("cut off"), std::string::npos);
}

TEST(Frame, CutAtAnyByteItIsNeverTakenForWhole) {
  const std::string whole = header(1) + document("key", R"({"a":"b"})") + "m" + text("gone") + end(2);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    FrameReader reader;
    const std::string cut = whole.substr(0, size);
    reader.open(cut);
    Record r;
    while (reader.next(r)) {
    }
    EXPECT_FALSE(reader.complete()) << size;
  }
}

TEST(Frame, AMissingRecordIsNoticed) {
  FrameReader reader;
  const std::string frame = header(1) + document("a", "{}") + end(2);
  reader.open(frame);
  Record r;
  while (reader.next(r)) {
  }
  EXPECT_TRUE(reader.failed());
  EXPECT_NE(reader.problem().find("2 records announced, 1 received"), std::string::npos);
}

TEST(Frame, WhatIsNoFrameIsRefused) {
  for (const std::string& frame :
       {std::string("z"), document("a", "{}"), header(1) + header(2), header(1) + end(0) + "k" + text("a")}) {
    FrameReader reader;
    reader.open(frame);
    Record r;
    while (reader.next(r)) {
    }
    EXPECT_TRUE(reader.failed());
    EXPECT_FALSE(reader.complete());
  }
}

}  // namespace
}  // namespace conveyor
