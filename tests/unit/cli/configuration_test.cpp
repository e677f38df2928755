#include "cli/configuration.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/status_command.hpp"

namespace conveyor {
namespace {

// A file that goes with the test.
class File {
 public:
  explicit File(const std::string& text)
      : path_(std::filesystem::path(testing::TempDir()) /
              (std::string("conveyor_") + testing::UnitTest::GetInstance()->current_test_info()->name() +
               std::to_string(number_++))) {
    std::ofstream(path_) << text;
  }
  ~File() { std::filesystem::remove(path_); }
  std::string path() const { return path_; }

 private:
  static inline int number_ = 0;
  std::filesystem::path path_;
};

std::string refusal(const std::string& text) {
  const File file(text);
  Configuration configuration;
  try {
    read_configuration(file.path(), configuration);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Configuration, IsReadFromAFile) {
  const File file(R"(
databases = ["host=a", "host=b"]
name = "one"
tags = ["blue"]
http = "127.0.0.1:9187"
memory = "16MB"
connections = 8
log_level = "debug"
)");
  Configuration configuration;
  read_configuration(file.path(), configuration);
  EXPECT_EQ(configuration.databases.size(), 2u);
  EXPECT_EQ(configuration.name, "one");
  EXPECT_EQ(configuration.memory, 16u << 20);
  EXPECT_EQ(configuration.connections, 8);
}

TEST(Configuration, NamesTheLineOfAMistake) {
  EXPECT_NE(refusal("name = 1").find(":1: \"name\" must be a string"), std::string::npos);
  EXPECT_NE(refusal("\nnmae = \"x\"").find(":2: there is no setting \"nmae\""), std::string::npos);
  EXPECT_NE(refusal("connections = 1").find("must be from 4 to 1000"), std::string::npos);
  EXPECT_NE(refusal("memory = \"much\"").find("not a size"), std::string::npos);
  EXPECT_NE(refusal("name = ").find(":1:"), std::string::npos);
}

TEST(Configuration, TakesSecretsFromFilesButNotOverTheEnvironment) {
  const File password("geheim\n"), key("other");
  setenv("CONVEYOR_GIVEN_PASSWORD", "from the environment", 1);
  unsetenv("CONVEYOR_MY_SEARCH_PASSWORD");
  const File file("[secrets.my-search]\npassword_file = \"" + password.path() +
                  "\"\n[secrets.given]\npassword_file = \"" + key.path() + "\"\n");
  Configuration configuration;
  read_configuration(file.path(), configuration);
  EXPECT_STREQ(getenv("CONVEYOR_MY_SEARCH_PASSWORD"), "geheim");
  EXPECT_STREQ(getenv("CONVEYOR_GIVEN_PASSWORD"), "from the environment");
}

TEST(HttpAddress, IsLoopbackWithoutAnAddress) {
  EXPECT_EQ(parse_http_address(":9187").host, "127.0.0.1");
  EXPECT_EQ(parse_http_address("[::1]:80").host, "::1");
  EXPECT_EQ(parse_http_address("0.0.0.0:9187").port, 9187);
  for (const char* wrong : {"", "9187", "host:", "host:0", "host:65536", "host:8o"})
    EXPECT_THROW(parse_http_address(wrong), UsageError) << wrong;
}

TEST(Bytes, HaveUnits) {
  EXPECT_EQ(parse_bytes("1048576"), 1u << 20);
  EXPECT_EQ(parse_bytes("32 MB"), 32u << 20);
  EXPECT_EQ(parse_bytes("64kB"), 64u << 10);
  for (const char* wrong : {"", "MB", "1 TBB", "-1", "99999999999999999999"})
    EXPECT_THROW(parse_bytes(wrong), UsageError) << wrong;
}

TEST(StatusTable, AlignsColumnsByCharacters) {
  EXPECT_EQ(format_table({"a", "b"}, {{"ü", "1"}, {"long", "2"}}), "a     b\nü     1\nlong  2\n");
}

}  // namespace
}  // namespace conveyor
