#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <sstream>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "target/ndjson.hpp"
#include "target/ndjson_file.hpp"

namespace conveyor {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

class NdjsonTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "conveyor-ndjson-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    start();
  }
  void TearDown() override {
    target_.reset();
    fs::remove_all(directory_);
  }

  void start(const std::string& more = "") {
    target_.reset();
    auto made = make_target("ndjson", R"({"directory":")" + directory_.string() + "\"" + more + "}", "x");
    ASSERT_TRUE(made) << made.failure.reason;
    target_ = std::move(*made.value);
  }
  IndexState prepare(const IndexState& stored = {}) {
    const auto state = target_->prepare(destination_, stored, true);
    EXPECT_TRUE(state) << state.failure.reason;
    return state ? *state.value : IndexState{};
  }
  SendResult send(const std::string& key, const std::string& document = R"({"x":1})") {
    auto body = std::make_shared<Body>();
    target_->append_document(*body, key, 7, document);
    std::promise<SendResult> promise;
    target_->send(destination_, body, [&](SendResult result) { promise.set_value(std::move(result)); });
    return promise.get_future().get();
  }
  // Name → content of what is whole, or of what is not.
  std::map<std::string, std::string> files(const std::string& suffix) const {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::directory_iterator(directory_ / "orders"))
      if (const std::string name = entry.path().filename(); name.ends_with(suffix)) found[name] = read(entry.path());
    return found;
  }

  fs::path directory_;
  Destination destination_{"o2f", "orders", "", "{}", {}, "db/1"};
  std::unique_ptr<Target> target_;
};

constexpr const char* one = R"({"index":{"_id":"1","version":7,"version_type":"external"}})"
                            "\n"
                            R"({"x":1})"
                            "\n";

TEST_F(NdjsonTest, WhatIsDoneIsInTheFileAndAFillEndsInWholeFiles) {
  const IndexState state = prepare();
  EXPECT_EQ(send("1").whole, Outcome::done);
  EXPECT_EQ(files(".part").at("orders-000001.ndjson.part"), one);
  ASSERT_TRUE(target_->finish_fill(destination_, state));
  EXPECT_EQ(files(".ndjson").at("orders-000001.ndjson"), one);
  EXPECT_TRUE(files(".part").empty());
  ASSERT_TRUE(target_->finish_fill(destination_, state)) << "idempotent";
  EXPECT_FALSE(target_->can_list_ids());
}

TEST_F(NdjsonTest, FilesEndAtTheirSizeAndAreNeverWrittenAgain) {
  start(R"(,"file_bytes":1000)");
  prepare();
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(send(std::to_string(i), R"({"x":")" + std::string(500, 'x') + R"("})").whole, Outcome::done);
  const auto before = files(".ndjson");
  EXPECT_EQ(before.size(), 5u);
  start();
  prepare();
  send("again");
  target_.reset();
  const auto after = files(".ndjson");
  EXPECT_EQ(after.size(), 6u);
  for (const auto& [name, text] : before) EXPECT_EQ(after.at(name), text);
  EXPECT_TRUE(after.contains("orders-000006.ndjson"));
}

TEST_F(NdjsonTest, EndingMakesWholeFiles) {
  prepare();
  send("1");
  target_.reset();
  EXPECT_EQ(files(".ndjson").at("orders-000001.ndjson"), one);
}

// What a crash left holds acknowledged documents: it is kept, without what is torn at its end.
TEST_F(NdjsonTest, APartLeftByACrashIsKeptUpToItsLastWholeAction) {
  const IndexState state = prepare();
  const std::string torn =
      std::string(one) + R"({"delete":{"_id":"2","version":7,"version_type":"external"}})" + "\n" + one;
  for (std::size_t size = 0; size <= torn.size(); ++size) {
    for (const auto& [name, text] : files(".ndjson")) fs::remove(directory_ / "orders" / name);
    write(directory_ / "orders" / "orders-000007.ndjson.part", torn.substr(0, size));
    prepare(state);
    EXPECT_TRUE(files(".part").empty());
    const auto whole = files(".ndjson");
    std::string kept = whole.empty() ? "" : whole.begin()->second;
    EXPECT_EQ(torn.substr(0, kept.size()), kept);
    EXPECT_TRUE(kept.empty() || kept.size() == std::strlen(one) || kept.size() == torn.size() ||
                kept.size() == torn.size() - std::strlen(one))
        << size;
    EXPECT_GT(kept.size() + std::strlen(one), size) << "too much was cut off";
  }
}

TEST_F(NdjsonTest, ZerosThatNeverReachedTheDiskAreCutOff) {
  EXPECT_EQ(whole_actions(std::string(one) + std::string(4096, '\0')), std::strlen(one));
  EXPECT_EQ(whole_actions(std::string(one) + R"({"index":{"_id":"2","version":7,"version_type":"external"}})" + "\n" +
                          std::string(100, '\0') + "\n"),
            std::strlen(one));
}

TEST_F(NdjsonTest, APartThatSomeoneIsWritingIsLeftAlone) {
  prepare();
  const fs::path part = directory_ / "orders" / "orders-000007.ndjson.part";
  write(part, one);
  const int file = ::open(part.c_str(), O_RDWR);
  ASSERT_EQ(::flock(file, LOCK_EX), 0);
  EXPECT_FALSE(recover((directory_ / "orders").string(), "orders"));
  EXPECT_TRUE(fs::exists(part));
  ::close(file);
  EXPECT_FALSE(recover((directory_ / "orders").string(), "orders"));
  EXPECT_FALSE(fs::exists(part));
}

TEST_F(NdjsonTest, APartNeverTakesTheNameOfAFileThatIsThere) {
  prepare();
  write(directory_ / "orders" / "orders-000007.ndjson", "kept");
  write(directory_ / "orders" / "orders-000007.ndjson.part", one);
  ASSERT_FALSE(recover((directory_ / "orders").string(), "orders"));
  EXPECT_EQ(files(".ndjson").at("orders-000007.ndjson"), "kept");
  EXPECT_EQ(files(".ndjson").at("orders-000008.ndjson"), one);
}

TEST_F(NdjsonTest, AFolderThatIsNotOursIsNeverWrittenTo) {
  fs::create_directories(directory_ / "orders");
  write(directory_ / "orders" / "letter.txt", "mine");
  auto state = target_->prepare(destination_, {}, true);
  ASSERT_FALSE(state);
  EXPECT_EQ(state.failure.outcome, Outcome::hold);
  EXPECT_NE(state.failure.reason.find((directory_ / "orders").string()), std::string::npos);
  EXPECT_FALSE(target_->remove_destination(destination_, {}));
  EXPECT_EQ(read(directory_ / "orders" / "letter.txt"), "mine");
}

TEST_F(NdjsonTest, ADestinationIsTheNameOfAFolderAndNoPath) {
  for (const char* name : {"", "..", ".hidden", "a/b", "/etc"}) {
    Destination bad = destination_;
    bad.name = name;
    const auto state = target_->prepare(bad, {}, true);
    ASSERT_FALSE(state) << name;
    EXPECT_EQ(state.failure.outcome, Outcome::hold);
  }
}

TEST_F(NdjsonTest, AMissingFolderIsMadeAgainForAFillOnly) {
  const IndexState filling = prepare();
  const IndexState state = *target_->finish_fill(destination_, filling).value;
  EXPECT_EQ(send("1").whole, Outcome::done);
  fs::remove_all(directory_ / "orders");  // with the part that is open
  EXPECT_FALSE(target_->prepare(destination_, filling, false)) << "a fill never goes on in a new folder";
  EXPECT_EQ(send("1").whole, Outcome::hold);
  const auto held = target_->prepare(destination_, state, false);
  ASSERT_FALSE(held);
  EXPECT_NE(held.failure.reason.find("conveyor.resync_all('o2f')"), std::string::npos);
  EXPECT_EQ(send("1").whole, Outcome::hold);
  EXPECT_NE(target_->condition().find("No such file"), std::string::npos);
  EXPECT_TRUE(target_->prepare(destination_, state, true));
  EXPECT_EQ(send("1").whole, Outcome::done);
  EXPECT_EQ(target_->condition(), "");
}

TEST_F(NdjsonTest, RemovesWhatIsOursAndNothingElse) {
  const IndexState state = prepare();
  send("1");
  const auto removed = target_->remove_destination(destination_, state);
  ASSERT_TRUE(removed) << removed.failure.reason;
  EXPECT_FALSE(fs::exists(directory_ / "orders"));
}

// /dev/full takes every open and refuses every write: a disk without room.
TEST_F(NdjsonTest, AFullDiskIsARetryThatSaysSoAndLosesNothing) {
  prepare();
  send("1");
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full";
  fs::create_directories(directory_ / "full");
  NdjsonFile file((directory_ / "full").string(), "orders");
  ASSERT_FALSE(file.append(one));
  ASSERT_FALSE(file.sync());
  const int full = ::open("/dev/full", O_WRONLY);
  // The file's own descriptor now leads to the full device.
  for (const auto& entry : fs::directory_iterator("/proc/self/fd"))
    if (std::error_code gone; fs::read_symlink(entry.path(), gone).string().ends_with("full/orders-000001.ndjson.part"))
      ::dup2(full, std::stoi(entry.path().filename()));
  ::close(full);
  const IoError failed = file.append(one);
  EXPECT_EQ(failed.number, ENOSPC);
  EXPECT_NE(failed.text.find("No space left on device"), std::string::npos);
  file.abandon();
  ASSERT_FALSE(recover((directory_ / "full").string(), "orders"));
  EXPECT_EQ(read(directory_ / "full" / "orders-000001.ndjson"), one);
}

TEST_F(NdjsonTest, AKeyThatNoServerTakesIsADeadLetter) {
  prepare();
  const SendResult result = send(std::string(513, 'k'));
  ASSERT_EQ(result.items.size(), 1u);
  EXPECT_EQ(result.items[0].outcome, Outcome::dead_letter);
}

TEST_F(NdjsonTest, OptionsAreChecked) {
  for (const char* options :
       {"{}", R"({"directory":"relative"})", R"({"directory":5})", R"({"directory":"/x","file_bytes":-1})", "[]"})
    EXPECT_FALSE(make_target("ndjson", options, "x")) << options;
}

}  // namespace
}  // namespace conveyor
