// A directory of bulk files: an export for people and a floor for benchmarks, with no server. Each destination is a
// sub-folder; each file can be sent as it is to `/<index>/_bulk`. Versions in the action lines say which of several
// lines for one document wins.
//
// One thread writes: it takes what has come, appends it, synchronises each file once for all of it, and only then says
// `done`.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "decide/clock.hpp"
#include "target/ndjson_file.hpp"
#include "target/target.hpp"

namespace conveyor {

struct NdjsonOptions {
  std::string directory;
  std::uint64_t file_bytes = 64u << 20;         // a file of this size is ended
  Duration file_age = std::chrono::minutes(1);  // so is one that was begun so long ago
};

Result<NdjsonOptions> read_ndjson_options(const std::string& options);

class Ndjson final : public Target {
 public:
  explicit Ndjson(NdjsonOptions options);
  ~Ndjson() override;

  void append_document(Body& body, std::string_view key, std::uint64_t version,
                       std::string_view document) const override;
  void append_delete(Body& body, std::string_view key, std::uint64_t version) const override;
  void send(const Destination& destination, std::shared_ptr<const Body> body, Done done) override;
  Result<IndexState> prepare(Destination& destination, const IndexState& stored, bool will_fill) override;
  Result<IndexState> finish_fill(const Destination& destination, const IndexState& stored) override;
  bool can_list_ids() const override { return false; }
  Result<IdPage> list_ids(const Destination& destination, const std::string& position) override;
  Result<bool> remove_destination(const Destination& destination, const IndexState& stored) override;
  void reconfigure(const std::string& options) override;
  std::string condition() const override;

 private:
  // A body to write, or (without one) a file to end.
  struct Job {
    std::string folder, name;
    std::shared_ptr<const Body> body;
    Done done;
    Time begun;
  };
  struct File {
    File(const std::string& folder, const std::string& name, Time now) : file(folder, name), begun(now) {}
    NdjsonFile file;
    Time begun;
    IoError error;     // of the batch that is being written
    bool end = false;  // when this batch is synced
  };

  void run();
  void write(std::deque<Job> jobs);
  void end_old_files();
  SendResult end_folder(const std::string& folder, const std::string& name);
  NdjsonOptions options() const;
  void set_trouble(std::string trouble);

  mutable std::mutex mutex_;  // of everything up to the next blank line
  NdjsonOptions options_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::string trouble_, bad_options_;
  std::condition_variable wake_;

  std::map<std::string, File> files_;  // by folder; the writer's own
  std::thread writer_;
};

}  // namespace conveyor
