#include "http/download.hpp"

#include <curl/curl.h>

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <exception>
#include <memory>
#include <optional>
#include <thread>

#include "decide/backoff.hpp"
#include "decide/download_plan.hpp"
#include "decide/shown_address.hpp"
#include "postgres/error.hpp"

namespace conveyor::http {

namespace {

using Verdict = DownloadPlan::Verdict;

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Easy = std::unique_ptr<CURL, FreeEasy>;

// One attempt. What goes wrong in a callback waits in `error` until curl has returned.
struct Attempt {
  DownloadPlan& plan;
  const std::function<void(std::string_view)>& take;
  std::stop_token stop;
  CURL* easy = nullptr;
  AnswerHead head{};
  std::optional<Verdict> verdict{};  // of the head
  std::exception_ptr error{};
};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

std::size_t take_header(char* data, std::size_t, std::size_t size, void* user) {
  auto& attempt = *static_cast<Attempt*>(user);
  const std::string_view line(data, size);
  if (line.starts_with("HTTP/")) attempt.head = {};  // of a redirection before it
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (name == "etag") attempt.head.etag = value;
  if (name == "content-range") attempt.head.content_range = value;
  if (name == "content-length") {
    std::uint64_t length = 0;
    if (std::from_chars(value.data(), value.data() + value.size(), length).ec == std::errc())
      attempt.head.length = length;
  }
  return size;
}

// Once, when the head is complete.
Verdict judge(Attempt& attempt) {
  if (!attempt.verdict) {
    long status = 0;
    curl_easy_getinfo(attempt.easy, CURLINFO_RESPONSE_CODE, &status);
    attempt.head.status = static_cast<int>(status);
    attempt.verdict = attempt.plan.head(attempt.head);
  }
  return *attempt.verdict;
}

std::size_t take_body(char* data, std::size_t, std::size_t size, void* user) {
  auto& attempt = *static_cast<Attempt*>(user);
  try {
    if (judge(attempt) != Verdict::read) return 0;
    std::string_view news;
    if (!attempt.plan.body({data, size}, news)) {
      attempt.verdict = Verdict::failed;
      return 0;
    }
    if (!news.empty()) attempt.take(news);
    return size;
  } catch (...) {
    attempt.error = std::current_exception();
    return 0;
  }
}

int look_up(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Attempt*>(user)->stop.stop_requested() ? 1 : 0;
}

long milliseconds(Duration duration) {
  return static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

// What curl itself says may have the whole address in it; only what it says of certificates is told on.
std::string reason_of(CURLcode code, const char* detail) {
  if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
    return fmt::format("its certificate does not verify: {}", *detail ? detail : curl_easy_strerror(code));
  return curl_easy_strerror(code);
}

bool no_use_to_repeat(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_TOO_MANY_REDIRECTS:
      return true;
    default:
      return false;
  }
}

bool did_not_connect(CURLcode code) {
  return code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_SSL_CONNECT_ERROR ||
         code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE;
}

void rest(Duration duration, const std::stop_token& stop) {
  using namespace std::chrono_literals;
  for (const Time until = Clock::now() + duration; Clock::now() < until;) {
    if (stop.stop_requested()) throw Stopped();
    std::this_thread::sleep_for(std::min<Duration>(until - Clock::now(), 50ms));
  }
}

}  // namespace

void download(const std::string& address, const DownloadSettings& settings, std::stop_token stop,
              const std::function<void(std::string_view)>& take,
              const std::function<void(const std::string&)>& notice) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (ready != CURLE_OK) throw std::runtime_error("could not initialise libcurl");
  const std::string shown = shown_address(address);
  const bool secure = address.size() > 4 && std::tolower(static_cast<unsigned char>(address[4])) == 's';
  const Easy easy(curl_easy_init());
  if (!easy) throw std::bad_alloc();

  DownloadPlan plan;
  Backoff backoff(settings.retry_delay, settings.max_retry_delay,
                  static_cast<std::uint64_t>(Clock::now().time_since_epoch().count()));
  bool ever_connected = false;
  for (;;) {
    Attempt attempt{plan, take, stop, easy.get()};
    char detail[CURL_ERROR_SIZE] = "";
    curl_easy_reset(easy.get());
    const auto set = [&](auto option, auto value) { curl_easy_setopt(easy.get(), option, value); };
    set(CURLOPT_URL, address.c_str());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, 5L);
    set(CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(settings.connect_timeout));
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, std::max(1L, milliseconds(settings.stall_timeout) / 1000));
    set(CURLOPT_HEADERFUNCTION, take_header);
    set(CURLOPT_HEADERDATA, &attempt);
    set(CURLOPT_WRITEFUNCTION, take_body);
    set(CURLOPT_WRITEDATA, &attempt);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, look_up);
    set(CURLOPT_XFERINFODATA, &attempt);
    set(CURLOPT_ERRORBUFFER, detail);
    if (!settings.ca_file.empty()) set(CURLOPT_CAINFO, settings.ca_file.c_str());
    // Ranges count the file's own bytes.
    std::unique_ptr<curl_slist, FreeList> headers(curl_slist_append(nullptr, "Accept-Encoding: identity"));
    const DownloadPlan::Ask ask = plan.next();
    if (ask.from > 0) {
      headers.reset(curl_slist_append(headers.release(), fmt::format("Range: bytes={}-", ask.from).c_str()));
      headers.reset(curl_slist_append(headers.release(), fmt::format("If-Range: {}", ask.if_range).c_str()));
    }
    set(CURLOPT_HTTPHEADER, headers.get());

    const CURLcode code = curl_easy_perform(easy.get());
    if (attempt.error) std::rethrow_exception(attempt.error);
    if (stop.stop_requested()) throw Stopped();
    long status = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
    Verdict verdict = Verdict::again;
    std::string reason;
    if (code == CURLE_OK || attempt.verdict || status == 206 || status >= 400) {
      ever_connected = true;
      verdict = judge(attempt);
    }
    if (verdict == Verdict::read || (verdict == Verdict::again && !attempt.verdict)) {
      verdict = plan.ended(code == CURLE_OK);
      reason = reason_of(code, detail);
    } else {
      reason = plan.problem();
    }
    if (verdict == Verdict::complete) return;
    if (verdict == Verdict::failed)
      throw DownloadError(fmt::format("could not read {}: {}", shown, plan.problem()), false);
    const bool hopeless = code != CURLE_OK && code != CURLE_WRITE_ERROR && no_use_to_repeat(code);
    if (hopeless || plan.fruitless() >= settings.most_fruitless)
      throw DownloadError(fmt::format("could not read {}: {}", shown, reason),
                          !ever_connected && did_not_connect(code));
    if (plan.fruitless() == 0) backoff.reset();
    notice(fmt::format("{}: {}, after {} bytes; trying again", shown, reason, plan.received()));
    rest(backoff.next(), stop);
  }
}

}  // namespace conveyor::http
