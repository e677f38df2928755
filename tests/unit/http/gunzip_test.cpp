#include "http/gunzip.hpp"

#include <gtest/gtest.h>

#include <zlib.h>

namespace conveyor::http {
namespace {

std::string compressed(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(text.size() + 100, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string undone(std::string_view bytes, std::size_t piece) {
  std::string text;
  const auto take = [&](std::string_view more) { text += more; };
  Gunzip gunzip;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) gunzip.give(bytes.substr(0, piece), take);
  gunzip.finish(take);
  return text;
}

const std::string long_text = [] {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i) + "\n";
  return text;
}();

TEST(Gunzip, UndoesWhatIsCompressedHoweverTheBytesCome) {
  const std::string bytes = compressed(long_text);
  for (const std::size_t piece : {1, 1000, 10'000'000}) EXPECT_EQ(undone(bytes, piece), long_text) << piece;
}

TEST(Gunzip, LetsEverythingElsePass) {
  for (const std::size_t piece : {1, 1000})
    for (const char* text : {"", "1", "12", "\x1f", "\x1fz", "abc\n"}) EXPECT_EQ(undone(text, piece), text) << piece;
}

TEST(Gunzip, UndoesSeveralFilesInOne) {
  const std::string bytes = compressed("1\n2\n") + compressed("3\n");
  for (const std::size_t piece : {1, 1000}) EXPECT_EQ(undone(bytes, piece), "1\n2\n3\n");
}

TEST(Gunzip, RefusesWhatIsCutOrBroken) {
  std::string bytes = compressed(long_text);
  EXPECT_THROW(undone(bytes.substr(0, bytes.size() - 1), 1000), GunzipError);
  EXPECT_THROW(undone(bytes.substr(0, 2), 1), GunzipError);
  EXPECT_THROW(undone(bytes + "1\n", 1000), GunzipError);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  EXPECT_THROW(undone(bytes, 1000), GunzipError);
}

}  // namespace
}  // namespace conveyor::http
