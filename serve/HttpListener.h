// cpp-httplib's server with what a model server needs besides: a handler can see that its client
// has gone, a slow sender cannot hold a thread for ever, and stopping does not wait for idle
// connections.
#pragma once

#include "serve/Address.h"

#include <httplib.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace lmc {

class HttpListener : private httplib::Server {
public:
  using Routes = std::function<void(httplib::Server &)>;

  /// Binds, lets `routes` register handlers and serves on `threads` threads, one per connection.
  /// Throws Error where the address cannot be used; unix sockets are not supported.
  HttpListener(const Address &address, int threads, size_t maxBodyBytes, const Routes &routes);
  ~HttpListener() override;

  const Address &address() const { return bound; } ///< with the port that was picked

  /// Ends idle connections and takes no more requests; waits until the answers under way are sent,
  /// those of streams up to `flush`.
  void stop(std::chrono::milliseconds flush = {});

  /// From within a handler or its content provider: has the client closed the connection?
  static bool clientGone();

private:
  bool process_and_close_socket(socket_t socket) override;

  Address bound;
  std::thread acceptor;
  std::mutex mutex;
  std::condition_variable answered;     ///< no request is under way any more
  std::map<socket_t, bool> connections; ///< whether a request is under way
  std::atomic<bool> stopping = false;
};

} // namespace lmc
