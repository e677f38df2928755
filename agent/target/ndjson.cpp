#include "target/ndjson.hpp"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "decide/bulk_body.hpp"
#include "decide/json.hpp"

namespace conveyor {

namespace {

namespace fs = std::filesystem;

// Whose folder it is. Its name begins with a dot, so that no file pattern for the export meets it.
constexpr const char* mark_file = ".pg_conveyor";

// Space may be made, a file system mounted again; rights and missing directories need a person.
Outcome outcome_of(int number) {
  switch (number) {
    case EACCES:
    case EPERM:
    case EROFS:
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case EEXIST:
      return Outcome::hold;
    default:
      return Outcome::retry;
  }
}

Failure failure_of(const IoError& error) { return {outcome_of(error.number), error.text}; }

bool usable_name(const std::string& name) {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

std::string folder_of(const NdjsonOptions& options, const std::string& name) { return options.directory + "/" + name; }

std::string read_mark(const std::string& folder) {
  std::ifstream file(fs::path(folder) / mark_file, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text_of(parse_json(text.str()).get(), "origin");
}

IoError write_mark(const std::string& folder, const Destination& destination) {
  const Json json(json_object());
  json_object_set_new(json.get(), "origin", json_text(destination.origin).release());
  json_object_set_new(json.get(), "delivery", json_text(destination.delivery).release());
  const std::string text = to_text(json.get()) + "\n";
  const std::string path = folder + "/" + mark_file;
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return io_error(fmt::format("could not create file \"{}\"", path));
  IoError failed;
  if (::write(file, text.data(), text.size()) != static_cast<ssize_t>(text.size()) || ::fsync(file) != 0)
    failed = io_error(fmt::format("could not write file \"{}\"", path));
  ::close(file);
  return failed ? failed : sync_folder(folder);
}

IndexState write_stored(const std::string& name, bool filling) {
  const Json json(json_object());
  json_object_set_new(json.get(), "name", json_text(name).release());
  json_object_set_new(json.get(), "filling", json_boolean(filling));
  json_object_set_new(json.get(), "restore", json_object());
  return to_text(json.get());
}

std::string with_command(const std::string& problem, const std::string& delivery) {
  return fmt::format("{}, then run: SELECT conveyor.resume_delivery('{}')", problem, delivery);
}

}  // namespace

Result<NdjsonOptions> read_ndjson_options(const std::string& text) {
  const auto bad = [](std::string reason) -> Result<NdjsonOptions> {
    return {std::nullopt, {Outcome::hold, std::move(reason)}};
  };
  const Json options = parse_json(text.empty() ? "{}" : text);
  if (!json_is_object(options.get())) return bad("the target's options must be an object");
  NdjsonOptions read;
  read.directory = text_of(options.get(), "directory");
  if (read.directory.empty() || read.directory.front() != '/') return bad("option directory must be an absolute path");
  while (read.directory.size() > 1 && read.directory.ends_with('/')) read.directory.pop_back();
  if (const json_t* bytes = json_object_get(options.get(), "file_bytes"); bytes && !json_is_null(bytes)) {
    if (!json_is_integer(bytes) || json_integer_value(bytes) < 1)
      return bad("option file_bytes must be a positive whole number");
    read.file_bytes = static_cast<std::uint64_t>(json_integer_value(bytes));
  }
  return {std::move(read), {}};
}

Ndjson::Ndjson(NdjsonOptions options) : options_(std::move(options)), writer_([this] { run(); }) {}

Ndjson::~Ndjson() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  writer_.join();
}

void Ndjson::append_document(Body& body, std::string_view key, std::uint64_t version, std::string_view document) const {
  append_index(body, key, version, document);
}

void Ndjson::append_delete(Body& body, std::string_view key, std::uint64_t version) const {
  conveyor::append_delete(body, key, version);
}

void Ndjson::send(const Destination& destination, std::shared_ptr<const Body> body, Done done) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(
        {folder_of(options_, destination.name), destination.name, std::move(body), std::move(done), Clock::now()});
  }
  wake_.notify_one();
}

void Ndjson::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait_for(lock, std::chrono::seconds(1), [this] { return stopping_ || !jobs_.empty(); });
    std::deque<Job> jobs;
    jobs.swap(jobs_);
    const bool stop = stopping_;
    lock.unlock();
    if (!jobs.empty()) write(std::move(jobs));
    end_old_files();
    lock.lock();
    if (stop && jobs_.empty()) break;
  }
  lock.unlock();
  for (auto& [folder, file] : files_) file.file.abandon();  // whole files of what is synced, which is everything
}

void Ndjson::write(std::deque<Job> jobs) {
  const std::uint64_t file_bytes = options().file_bytes;
  for (const Job& job : jobs) {
    File& file = files_.try_emplace(job.folder, job.folder, job.name, Clock::now()).first->second;
    if (!job.body) {
      file.end = true;
    } else if (!file.error && !job.body->wire.empty()) {
      if (file.file.size() == 0) file.begun = Clock::now();
      file.error = file.file.append(job.body->wire);
    }
  }
  std::map<std::string, IoError> errors;
  for (auto& [folder, file] : files_) {
    if (!file.error) file.error = file.file.sync();
    if (!file.error && (file.end || file.file.size() >= file_bytes)) file.error = file.file.seal();
    if (file.error) file.file.abandon();
    errors[folder] = std::exchange(file.error, {});
    file.end = false;
  }
  std::string trouble;
  for (const auto& [folder, error] : errors)
    if (error) trouble = error.text;
  set_trouble(std::move(trouble));
  for (Job& job : jobs) {
    const IoError& error = errors[job.folder];
    SendResult result;
    result.answered = true;
    if (error) {
      result.whole = outcome_of(error.number);
      result.type = "io_error";
      result.reason = error.text;
    } else if (job.body) {
      for (std::size_t i = 0; i < job.body->items.size(); ++i) {
        if (job.body->items[i].wire_size > 0) continue;
        result.items.resize(job.body->items.size(), ItemResult{Outcome::done, {}, {}});
        result.items[i] = unsendable(*job.body, i);
      }
    }
    result.seconds = seconds(Clock::now() - job.begun);
    job.body.reset();
    if (job.done) job.done(std::move(result));
  }
}

void Ndjson::end_old_files() {
  const Duration age = options().file_age;
  for (auto it = files_.begin(); it != files_.end();) {
    if (it->second.file.size() == 0) {
      it = files_.erase(it);
      continue;
    }
    if (Clock::now() - it->second.begun >= age) {
      if (const IoError error = it->second.file.seal()) {
        set_trouble(error.text);
        it->second.file.abandon();
      }
    }
    ++it;
  }
}

// Waits until everything sent before is a whole file (or has failed).
SendResult Ndjson::end_folder(const std::string& folder, const std::string& name) {
  std::promise<SendResult> ended;
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(
        {folder, name, nullptr, [&](SendResult result) { ended.set_value(std::move(result)); }, Clock::now()});
  }
  wake_.notify_one();
  return ended.get_future().get();
}

Result<IndexState> Ndjson::prepare(Destination& destination, const IndexState& stored, bool will_fill) {
  const auto hold = [](std::string reason) -> Result<IndexState> {
    return {std::nullopt, {Outcome::hold, std::move(reason)}};
  };
  if (!usable_name(destination.name))
    return hold(
        fmt::format("destination \"{}\" cannot be the name of a directory; create the delivery anew with another",
                    destination.name));
  const NdjsonOptions options = this->options();
  const std::string folder = folder_of(options, destination.name);
  std::error_code error;
  const bool known = !text_of(parse_json(stored).get(), "name").empty();
  const bool there = fs::is_directory(folder, error);
  if (there && !fs::is_empty(folder, error) && read_mark(folder) != destination.origin)
    return hold(with_command(
        fmt::format("directory \"{}\" holds files that were not made by this delivery; create the delivery "
                    "anew with another destination, or move it away",
                    folder),
        destination.delivery));
  // What was checkpointed went to the folder that is gone: no fill may go on in a new one.
  if (!there && known && !will_fill)
    return hold(
        fmt::format("directory \"{}\" is missing; to fill a new one run: SELECT conveyor.resync_all('{}'); SELECT "
                    "conveyor.resume_delivery('{}')",
                    folder, destination.delivery, destination.delivery));
  fs::create_directories(folder, error);
  if (error) {
    return {std::nullopt,
            failure_of({error.value(), fmt::format("could not create directory \"{}\": {}", folder, error.message())})};
  }
  if (read_mark(folder) != destination.origin) {
    if (const IoError failed = write_mark(folder, destination)) return {std::nullopt, failure_of(failed)};
    if (const IoError failed = sync_folder(options.directory)) return {std::nullopt, failure_of(failed)};
  }
  if (const IoError failed = recover(folder, destination.name)) return {std::nullopt, failure_of(failed)};
  destination.index = folder;
  return {known && there ? stored : write_stored(folder, will_fill), {}};
}

Result<IndexState> Ndjson::finish_fill(const Destination& destination, const IndexState&) {
  const std::string folder = folder_of(options(), destination.name);
  const SendResult ended = end_folder(folder, destination.name);
  if (ended.whole != Outcome::done) return {std::nullopt, {ended.whole, ended.reason}};
  return {write_stored(folder, false), {}};
}

Result<IdPage> Ndjson::list_ids(const Destination&, const std::string&) { return {IdPage{}, {}}; }

Result<bool> Ndjson::remove_destination(const Destination& destination, const IndexState&) {
  const std::string folder = folder_of(options(), destination.name);
  std::error_code error;
  if (!usable_name(destination.name) || !fs::is_directory(folder, error)) return {false, {}};
  if (read_mark(folder) != destination.origin)
    return {std::nullopt, {Outcome::hold, fmt::format("directory \"{}\" was not made by this delivery", folder)}};
  end_folder(folder, destination.name);
  const std::string files = destination.name + "-";
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename();
    const bool ours = name.starts_with(files) && (name.ends_with(".ndjson") || name.ends_with(".ndjson.part"));
    if (ours) fs::remove(entry.path(), error);
    if (error) break;
  }
  if (!error) fs::remove(fs::path(folder) / mark_file, error);
  if (!error) fs::remove(folder, error);
  if (error)
    return {std::nullopt,
            failure_of({error.value(), fmt::format("could not remove directory \"{}\": {}", folder, error.message())})};
  return {true, {}};
}

void Ndjson::reconfigure(const std::string& text) {
  Result<NdjsonOptions> read = read_ndjson_options(text);
  const std::lock_guard lock(mutex_);
  bad_options_ = read ? "" : read.failure.reason + " (the options before are still in force)";
  if (read) options_ = std::move(*read.value);
}

NdjsonOptions Ndjson::options() const {
  const std::lock_guard lock(mutex_);
  return options_;
}

void Ndjson::set_trouble(std::string trouble) {
  const std::lock_guard lock(mutex_);
  trouble_ = std::move(trouble);
}

std::string Ndjson::condition() const {
  const std::lock_guard lock(mutex_);
  if (trouble_.empty() || bad_options_.empty()) return trouble_ + bad_options_;
  return trouble_ + "; " + bad_options_;
}

}  // namespace conveyor
