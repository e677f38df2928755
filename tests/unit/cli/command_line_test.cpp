#include "cli/command_line.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cli/exit_status.hpp"

namespace conveyor {
namespace {

struct Answer {
  int status;
  std::string out, error;
};

Answer run(std::vector<std::string> words) {
  words.insert(words.begin(), "conveyor");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Answer answer;
  answer.status = run_command_line(static_cast<int>(arguments.size()), arguments.data());
  answer.out = testing::internal::GetCapturedStdout();
  answer.error = testing::internal::GetCapturedStderr();
  return answer;
}

TEST(CommandLine, NamesACommandThatThereIsNot) {
  const Answer answer = run({"stauts"});
  EXPECT_EQ(answer.status, usage);
  EXPECT_EQ(answer.error, "conveyor: there is no command \"stauts\" (conveyor --help lists commands and options)\n");
}

TEST(CommandLine, NeedsACommandAndKnownOptions) {
  EXPECT_EQ(run({}).status, usage);
  EXPECT_EQ(run({"status", "--wach"}).status, usage);
  EXPECT_EQ(run({"agent", "--http", "nowhere"}).status, usage);
}

TEST(CommandLine, ListsItsCommands) {
  const Answer answer = run({"--help"});
  EXPECT_EQ(answer.status, done);
  for (const char* command : {"agent", "status"}) EXPECT_NE(answer.out.find(command), std::string::npos) << command;
}

TEST(CommandLine, SaysWhenThereIsNoDatabase) {
  const Answer answer = run({"status", "--database", "host=/nonexistent"});
  EXPECT_EQ(answer.status, could_not_connect);
  EXPECT_EQ(answer.error.rfind("conveyor: ", 0), 0u);
}

}  // namespace
}  // namespace conveyor
