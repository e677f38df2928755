#include "http/client.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>

#include <curl/curl.h>

#include "http/upload.hpp"

namespace conveyor::http {

namespace {

// A server or proxy closes idle connections; one that is closed just as it is used again leaves a request without an
// answer.
constexpr long longest_idle_seconds = 45;
constexpr long connections_kept = 64;
constexpr std::size_t spare_handles = 32;
constexpr long upload_buffer = 256 << 10;
constexpr auto longest_sleep = std::chrono::seconds(60);

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeMulti {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
using Easy = std::unique_ptr<CURL, FreeEasy>;

void initialise_curl() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) throw std::runtime_error("could not initialise libcurl");
}

// One request under way.
struct Exchange {
  Request request;
  Client::Callback callback;
  Response response;
  Upload upload;
  Easy easy;
  std::unique_ptr<curl_slist, FreeList> headers;
  char error[CURL_ERROR_SIZE] = "";
  bool too_long = false;
};

std::size_t receive(char* data, std::size_t, std::size_t size, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  if (exchange.response.body.size() + size > exchange.request.max_response) {
    exchange.too_long = true;
    return 0;
  }
  exchange.response.body.append(data, size);
  return size;
}

std::size_t give(char* data, std::size_t, std::size_t size, void* user) {
  return static_cast<Exchange*>(user)->upload.read(data, size);
}

// curl repeats a request by itself when a kept connection turns out to be closed. That is only right while nothing of
// it has been sent: else the first copy may still be applied after we have acted on the answer to the second.
int rewind(void* user, curl_off_t offset, int) {
  return offset == 0 && static_cast<Exchange*>(user)->upload.untouched() ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

// "http://[::1]:9200/x/_bulk" → "[::1]:9200"; user information, which the options refuse, would be left out.
std::string host_of(const std::string& url) {
  std::size_t begin = url.find("://");
  begin = begin == std::string::npos ? 0 : begin + 3;
  const std::size_t end = std::min(url.find_first_of("/?#", begin), url.size());
  const std::size_t at = url.rfind('@', end);
  if (at != std::string::npos && at >= begin && at < end) begin = at + 1;
  return url.substr(begin, end - begin);
}

std::string describe(CURLcode code, const Exchange& exchange) {
  const std::string host = host_of(exchange.request.url);
  switch (code) {
    case CURLE_COULDNT_CONNECT: {
      long number = 0;
      curl_easy_getinfo(exchange.easy.get(), CURLINFO_OS_ERRNO, &number);
      if (number == ECONNREFUSED) return "connection refused at " + host;
      return "could not connect to " + host +
             (number ? std::string(": ") + std::strerror(static_cast<int>(number)) : "");
    }
    case CURLE_COULDNT_RESOLVE_HOST:
      return "could not resolve the host name of " + host;
    case CURLE_OPERATION_TIMEDOUT:
      return "no answer in time from " + host;
    case CURLE_GOT_NOTHING:
      return "connection closed without an answer by " + host;
    case CURLE_PARTIAL_FILE:
      return "connection closed in the middle of an answer by " + host;
    case CURLE_SEND_ERROR:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_RECV_ERROR:
      return "connection lost to " + host;
    case CURLE_PEER_FAILED_VERIFICATION:
      return "the certificate of " + host +
             " does not verify: " + (*exchange.error ? exchange.error : curl_easy_strerror(code));
    default:
      return host + ": " + (*exchange.error ? exchange.error : curl_easy_strerror(code));
  }
}

// Errors of our own settings or of the peer's identity.
bool refused_by_us(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return true;
    default:
      return false;
  }
}

}  // namespace

class Client::Loop {
 public:
  explicit Loop(Settings settings) : settings_(std::move(settings)) {
    initialise_curl();
    multi_.reset(curl_multi_init());
    if (!multi_) throw std::runtime_error("could not make a libcurl multi handle");
    curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, connections_kept);
    thread_ = std::thread([this] { run(); });
  }

  ~Loop() {
    stopping_ = true;
    curl_multi_wakeup(multi_.get());
    thread_.join();
  }

  void post(Function function) {
    {
      const std::lock_guard lock(mutex_);
      posted_.push_back(std::move(function));
    }
    curl_multi_wakeup(multi_.get());
  }

  // The rest runs on the loop's own thread.
  void start(Request request, Callback callback);
  void at(Time time, Function function) { timers_.emplace(time, std::move(function)); }
  void configure(Settings settings) { settings_ = std::move(settings); }

 private:
  void run();
  void run_posted();
  void run_timers();
  void collect();
  void set_options(Exchange& exchange);
  void set_body(Exchange& exchange);
  void finish(std::list<Exchange>::iterator exchange, CURLcode code);
  int sleep_milliseconds() const;

  Settings settings_;
  std::unique_ptr<CURLM, FreeMulti> multi_;
  std::list<Exchange> exchanges_;
  std::map<CURL*, std::list<Exchange>::iterator> by_handle_;
  std::vector<Easy> spare_;
  std::multimap<Time, Function> timers_;

  std::mutex mutex_;
  std::deque<Function> posted_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

void Client::Loop::start(Request request, Callback callback) {
  exchanges_.emplace_back();
  const auto exchange = std::prev(exchanges_.end());
  exchange->request = std::move(request);
  exchange->callback = std::move(callback);
  if (spare_.empty()) {
    exchange->easy.reset(curl_easy_init());
    if (!exchange->easy) throw std::runtime_error("could not make a libcurl handle");
  } else {
    exchange->easy = std::move(spare_.back());
    spare_.pop_back();
  }
  set_options(*exchange);
  by_handle_[exchange->easy.get()] = exchange;
  curl_multi_add_handle(multi_.get(), exchange->easy.get());
}

void Client::Loop::set_options(Exchange& exchange) {
  CURL* easy = exchange.easy.get();
  const Request& request = exchange.request;
  const auto milliseconds = [](Duration d) {
    return static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(d).count());
  };
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, longest_idle_seconds);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(settings_.connect_timeout));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                   milliseconds(request.timeout > Duration{0} ? request.timeout : settings_.request_timeout));
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange.error);
  if (!settings_.tls_verify) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (!settings_.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, settings_.ca_file.c_str());
  if (!settings_.cert_file.empty()) curl_easy_setopt(easy, CURLOPT_SSLCERT, settings_.cert_file.c_str());
  if (!settings_.key_file.empty()) curl_easy_setopt(easy, CURLOPT_SSLKEY, settings_.key_file.c_str());
  if (request.gzip) curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");

  curl_slist* headers = nullptr;
  if (!settings_.api_key.empty()) {
    headers = curl_slist_append(headers, ("Authorization: ApiKey " + settings_.api_key).c_str());
  } else if (!settings_.user.empty()) {
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
    curl_easy_setopt(easy, CURLOPT_USERNAME, settings_.user.c_str());
    curl_easy_setopt(easy, CURLOPT_PASSWORD, settings_.password.c_str());
  }
  if (!request.content_type.empty())
    headers = curl_slist_append(headers, ("Content-Type: " + request.content_type).c_str());
  if (!request.expect_continue) headers = curl_slist_append(headers, "Expect:");
  exchange.headers.reset(headers);
  if (!request.content_type.empty()) set_body(exchange);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange.headers.get());
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

void Client::Loop::set_body(Exchange& exchange) {
  CURL* easy = exchange.easy.get();
  const bool gzip = exchange.request.gzip && !exchange.request.body.empty();
  exchange.upload.open(exchange.request.body, gzip);
  curl_slist* headers = exchange.headers.release();
  curl_easy_setopt(easy, CURLOPT_POST, 1L);
  if (gzip) {
    headers = curl_slist_append(headers, "Content-Encoding: gzip");
    headers = curl_slist_append(headers, "Transfer-Encoding: chunked");  // the size is not known before the end
  } else {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(exchange.request.body.size()));
  }
  exchange.headers.reset(headers);
  curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, upload_buffer);
  curl_easy_setopt(easy, CURLOPT_READFUNCTION, give);
  curl_easy_setopt(easy, CURLOPT_READDATA, &exchange);
  curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, rewind);
  curl_easy_setopt(easy, CURLOPT_SEEKDATA, &exchange);
}

void Client::Loop::finish(std::list<Exchange>::iterator exchange, CURLcode code) {
  CURL* easy = exchange->easy.get();
  Response& response = exchange->response;
  long status = 0, request_bytes = 0;
  double total = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &request_bytes);
  curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME, &total);
  response.status = static_cast<int>(status);
  response.seconds = total;
  response.cut_short =
      code != CURLE_OK && code != CURLE_OPERATION_TIMEDOUT && exchange->upload.begun() && !exchange->upload.ended();
  if (code == CURLE_OK) {
    response.end = End::answered;
  } else {
    response.end = request_bytes == 0 && !exchange->upload.begun() ? End::not_sent : End::unanswered;
    response.refused_by_us = refused_by_us(code);
    response.error = exchange->too_long ? "an answer over " + std::to_string(exchange->request.max_response) +
                                              " bytes from " + host_of(exchange->request.url)
                                        : describe(code, *exchange);
  }
  curl_multi_remove_handle(multi_.get(), easy);
  by_handle_.erase(easy);
  if (spare_.size() < spare_handles) {
    curl_easy_reset(easy);
    spare_.push_back(std::move(exchange->easy));
  }
  Callback callback = std::move(exchange->callback);
  Response result = std::move(response);
  exchanges_.erase(exchange);
  callback(std::move(result));
}

void Client::Loop::run() {
  while (!stopping_) {
    run_posted();
    run_timers();
    int running = 0;
    curl_multi_perform(multi_.get(), &running);
    collect();
    {
      const std::lock_guard lock(mutex_);
      if (!posted_.empty()) continue;
    }
    curl_multi_poll(multi_.get(), nullptr, 0, sleep_milliseconds(), nullptr);
  }
  // Whoever waits for an answer must hear something, also while a callback starts another request.
  for (run_posted(); !exchanges_.empty(); run_posted()) finish(exchanges_.begin(), CURLE_ABORTED_BY_CALLBACK);
}

void Client::Loop::run_posted() {
  std::deque<Function> posted;
  {
    const std::lock_guard lock(mutex_);
    posted.swap(posted_);
  }
  for (Function& function : posted) function();
}

void Client::Loop::run_timers() {
  const Time now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    Function function = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    function();
  }
}

void Client::Loop::collect() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    finish(by_handle_.at(message->easy_handle), message->data.result);
  }
}

int Client::Loop::sleep_milliseconds() const {
  Duration sleep = longest_sleep;
  if (!timers_.empty()) sleep = std::clamp(timers_.begin()->first - Clock::now(), Duration{0}, sleep);
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(sleep).count());
}

Client::Client(Settings settings) : loop_(std::make_unique<Loop>(std::move(settings))) {}
Client::~Client() = default;

void Client::request(Request request, Callback callback) {
  loop_->post([this, request = std::move(request), callback = std::move(callback)]() mutable {
    loop_->start(std::move(request), std::move(callback));
  });
}

Response Client::wait(Request request) {
  std::mutex mutex;
  std::condition_variable arrived;
  std::optional<Response> response;
  this->request(std::move(request), [&](Response answer) {
    const std::lock_guard lock(mutex);
    response = std::move(answer);
    arrived.notify_one();
  });
  std::unique_lock lock(mutex);
  arrived.wait(lock, [&] { return response.has_value(); });
  return std::move(*response);
}

void Client::post(Function function) { loop_->post(std::move(function)); }

void Client::after(Duration delay, Function function) {
  loop_->post([this, time = Clock::now() + delay, function = std::move(function)]() mutable {
    loop_->at(time, std::move(function));
  });
}

void Client::configure(Settings settings) {
  loop_->post([this, settings = std::move(settings)]() mutable { loop_->configure(std::move(settings)); });
}

}  // namespace conveyor::http
