// Where a server listens, as users type it.
#pragma once

#include <string>
#include <string_view>

namespace lmc {

struct Address {
  std::string host; ///< a name or a number, IPv6 without brackets
  int port = 0;     ///< 0: the system picks a free one
  std::string path; ///< of a unix socket; host and port are unused then

  bool isUnix() const { return !path.empty(); }
  std::string text() const; ///< "127.0.0.1:80", "[::1]:80", "unix:PATH"
};

/// host:port, [ipv6]:port, :port (every interface) or unix:PATH. Throws UsageError naming `option`.
Address parseAddress(std::string_view text, std::string_view option);

} // namespace lmc
