#include "serve/HttpListener.h"

#include "runtime/Error.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>

namespace lmc {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds keepAlive{5000};     // between two requests of a connection
constexpr milliseconds wholeRequest{30000}; // first byte to last byte of a request
constexpr milliseconds writeStall{10000};   // a reader that takes nothing for so long is gone
constexpr int backlog = 128;

thread_local socket_t currentSocket = INVALID_SOCKET;

bool waitFor(socket_t socket, short events, milliseconds limit) {
  pollfd entry{socket, events, 0};
  auto end = Clock::now() + limit;
  while (true) {
    auto left = std::chrono::ceil<milliseconds>(end - Clock::now()).count();
    int ready = ::poll(&entry, 1, static_cast<int>(std::max<int64_t>(left, 0)));
    if (ready >= 0 || errno != EINTR)
      return ready > 0;
  }
}

void nameAndPort(bool remote, socket_t socket, std::string &ip, int &port) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  auto *raw = reinterpret_cast<sockaddr *>(&address);
  std::array<char, NI_MAXHOST> host;
  std::array<char, NI_MAXSERV> served;
  int failed = remote ? ::getpeername(socket, raw, &length) : ::getsockname(socket, raw, &length);
  if (failed || ::getnameinfo(raw, length, host.data(), host.size(), served.data(), served.size(),
                              NI_NUMERICHOST | NI_NUMERICSERV))
    return;
  ip = host.data();
  port = std::atoi(served.data());
}

class Connection : public httplib::Stream {
public:
  explicit Connection(socket_t socket) : descriptor(socket) {}

  /// Waits for the first byte of the next request.
  bool awaitRequest() {
    if (first == last && !waitFor(descriptor, POLLIN, keepAlive))
      return false;
    deadline = Clock::now() + wholeRequest;
    return true;
  }

  bool is_readable() const override {
    auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    return first != last || (left.count() > 0 && waitFor(descriptor, POLLIN, left));
  }
  bool is_writable() const override {
    return waitFor(descriptor, POLLOUT, writeStall) && !HttpListener::clientGone();
  }

  ssize_t read(char *out, size_t size) override {
    if (first == last) {
      if (!is_readable())
        return -1;
      ssize_t count = ::recv(descriptor, buffer.data(), buffer.size(), 0);
      if (count <= 0)
        return count;
      first = 0;
      last = static_cast<size_t>(count);
    }
    size_t count = std::min(size, last - first);
    std::memcpy(out, buffer.data() + first, count);
    first += count;
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char *data, size_t size) override {
    if (!waitFor(descriptor, POLLOUT, writeStall))
      return -1;
    return ::send(descriptor, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  void get_remote_ip_and_port(std::string &ip, int &port) const override {
    nameAndPort(true, descriptor, ip, port);
  }
  void get_local_ip_and_port(std::string &ip, int &port) const override {
    nameAndPort(false, descriptor, ip, port);
  }
  socket_t socket() const override { return descriptor; }

private:
  socket_t descriptor;
  Clock::time_point deadline;
  std::array<char, 4096> buffer;
  size_t first = 0, last = 0;
};

} // namespace

HttpListener::HttpListener(const Address &address, int threads, size_t maxBodyBytes,
                           const Routes &routes)
    : bound(address) {
  if (address.isUnix())
    fail("cannot serve HTTP on {}: unix sockets carry gRPC only", address.text());
  socket_t listening = INVALID_SOCKET;
  // No SO_REUSEPORT, httplib's default: two servers on one port would share its calls without a
  // word.
  set_socket_options([&](socket_t socket) {
    int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    listening = socket;
  });
  new_task_queue = [threads] { return new httplib::ThreadPool(threads); };
  set_tcp_nodelay(true);
  set_payload_max_length(maxBodyBytes);
  routes(*this);
  if (address.port == 0)
    bound.port = bind_to_any_port(address.host);
  else if (!bind_to_port(address.host, address.port))
    bound.port = -1;
  if (bound.port <= 0)
    fail("cannot serve HTTP on {}: the address is in use or not one of this machine's",
         address.text());
  ::listen(listening, backlog); // httplib's own is 5
  acceptor = std::thread([this] { listen_after_bind(); });
  while (!is_running())
    std::this_thread::yield();
}

HttpListener::~HttpListener() {
  if (acceptor.joinable())
    stop();
}

void HttpListener::stop(milliseconds flush) {
  {
    std::unique_lock lock(mutex);
    stopping = true;
    for (auto [socket, busy] : connections)
      if (!busy)
        ::shutdown(socket, SHUT_RD);
    // httplib's stop cuts streams, also those whose last events only wait for their thread.
    answered.wait_for(lock, flush, [this] {
      return std::ranges::none_of(connections, [](auto &entry) { return entry.second; });
    });
  }
  httplib::Server::stop();
  if (acceptor.joinable())
    acceptor.join();
}

bool HttpListener::clientGone() {
  char byte;
  ssize_t count = ::recv(currentSocket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return count == 0 || (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

bool HttpListener::process_and_close_socket(socket_t socket) {
  currentSocket = socket;
  Connection stream(socket);
  bool fine = true, closed = false;
  auto setBusy = [&](bool busy) {
    std::lock_guard lock(mutex);
    connections[socket] = busy;
    answered.notify_all();
    return !stopping;
  };
  while (fine && !closed && setBusy(false) && stream.awaitRequest()) {
    setBusy(true);
    fine = process_request(stream, stopping, closed, [](httplib::Request &request) {
      request.headers.erase("Accept-Encoding"); // a compressor would hold streamed tokens back
    });
  }
  {
    std::lock_guard lock(mutex);
    connections.erase(socket);
    answered.notify_all();
  }
  ::shutdown(socket, SHUT_RDWR);
  ::close(socket);
  currentSocket = INVALID_SOCKET;
  return fine;
}

} // namespace lmc
