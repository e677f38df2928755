// A server on loopback that answers as a test says, also in ways that no good server would: half an answer, nothing at
// all, a cut in the middle of the request. One thread accepts, one serves each connection.
#pragma once

#include <atomic>
#include <cstring>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace conveyor::test {

struct Received {
  std::string method, path, head, body;
};

struct Reply {
  int status = 200;
  std::string body = "{}";
  std::string content_type = "application/json";
  std::string raw{};     // sent as it is instead of all the above, then the connection is closed
  bool hang_up = false;  // closes without a word
  int delay_ms = 0;
};

class FakeServer {
 public:
  using Handler = std::function<Reply(const Received&)>;

  explicit FakeServer(Handler handler, int port = 0) : handler_(std::move(handler)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0)
      std::abort();
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }

  ~FakeServer() {
    stopping_ = true;
    acceptor_.join();
    ::close(listener_);
    for (std::thread& connection : connections_) connection.join();
  }

  // Set before the first request: after how many bytes of its body a request is cut; 0: not at all.
  std::function<std::size_t(const Received&)> cut_body;

  int port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int connections() const { return accepted_; }

  std::vector<Received> received() const {
    const std::lock_guard lock(mutex_);
    return received_;
  }

 private:
  void accept_all() {
    while (!stopping_) {
      if (!readable(listener_)) continue;
      const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (socket < 0) continue;
      ++accepted_;
      connections_.emplace_back([this, socket] {
        while (serve(socket)) {
        }
        ::close(socket);
      });
    }
  }

  bool readable(int socket) const {
    pollfd one{socket, POLLIN, 0};
    return ::poll(&one, 1, 20) > 0;
  }

  // Reads until `enough` says so; false: the other side has gone, or the test is over.
  template <typename Enough>
  bool read_until(int socket, std::string& text, Enough enough) {
    char piece[65536];
    while (!enough()) {
      while (!readable(socket))
        if (stopping_) return false;
      const ssize_t count = ::read(socket, piece, sizeof piece);
      if (count <= 0) return false;
      text.append(piece, static_cast<std::size_t>(count));
    }
    return true;
  }

  static std::string header(const std::string& head, const char* name) {
    const char* found = ::strcasestr(head.c_str(), (std::string("\r\n") + name + ":").c_str());
    if (!found) return {};
    std::string value = std::string(found + 3 + std::strlen(name));
    value.resize(value.find('\r'));
    return value.substr(std::min(value.find_first_not_of(' '), value.size()));
  }

  bool serve(int socket) {
    std::string text;
    std::size_t end = std::string::npos;
    if (!read_until(socket, text, [&] { return (end = text.find("\r\n\r\n")) != std::string::npos; })) return false;
    Received request;
    request.head = text.substr(0, end + 2);
    text.erase(0, end + 4);
    request.method = request.head.substr(0, request.head.find(' '));
    request.path = request.head.substr(request.method.size() + 1);
    request.path.resize(request.path.find(' '));
    const bool chunked = header(request.head, "Transfer-Encoding") == "chunked";
    const std::string length = header(request.head, "Content-Length");
    const std::size_t size = length.empty() ? 0 : std::stoul(length);

    // What to do about a body may depend on its request line alone.
    if (size > 0 || chunked) {
      if (const std::size_t cut = cut_body ? cut_body(request) : 0) {
        read_until(socket, text, [&] { return text.size() >= cut; });
        return false;
      }
      if (!header(request.head, "Expect").empty() && !send(socket, "HTTP/1.1 100 Continue\r\n\r\n")) return false;
    }
    const auto whole = [&] { return chunked ? text.ends_with("0\r\n\r\n") : text.size() >= size; };
    if (!read_until(socket, text, whole)) return false;
    request.body = chunked ? unchunk(text) : text.substr(0, size);
    {
      const std::lock_guard lock(mutex_);
      received_.push_back(request);
    }
    const Reply reply = handler_(request);
    for (int waited = 0; waited < reply.delay_ms && !stopping_; waited += 10) ::usleep(10000);
    if (reply.hang_up) return false;
    if (!reply.raw.empty()) {
      send(socket, reply.raw);
      return false;
    }
    return send(socket, "HTTP/1.1 " + std::to_string(reply.status) + " x\r\nContent-Type: " + reply.content_type +
                            "\r\nContent-Length: " + std::to_string(reply.body.size()) + "\r\n\r\n" + reply.body);
  }

  static std::string unchunk(const std::string& text) {
    std::string body;
    for (std::size_t at = 0;;) {
      const std::size_t line = text.find("\r\n", at);
      const std::size_t size = std::stoul(text.substr(at, line - at), nullptr, 16);
      if (size == 0) return body;
      body += text.substr(line + 2, size);
      at = line + 2 + size + 2;
    }
  }

  static bool send(int socket, const std::string& text) {
    std::size_t sent = 0;
    while (sent < text.size()) {
      const ssize_t count = ::send(socket, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) return false;
      sent += static_cast<std::size_t>(count);
    }
    return true;
  }

  Handler handler_;
  int listener_ = -1, port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> accepted_ = 0;
  mutable std::mutex mutex_;
  std::vector<Received> received_;
  std::list<std::thread> connections_;
  std::thread acceptor_;
};

}  // namespace conveyor::test
