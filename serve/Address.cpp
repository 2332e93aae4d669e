#include "serve/Address.h"

#include "runtime/Error.h"

#include <charconv>

namespace lmc {

std::string Address::text() const {
  if (isUnix())
    return "unix:" + path;
  bool ipv6 = host.find(':') != std::string::npos;
  return ipv6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

Address parseAddress(std::string_view text, std::string_view option) {
  auto wrong = [&](std::string_view why) {
    throw UsageError(
        fmt::format("{} '{}': {}, expected host:port or unix:PATH", option, text, why));
  };
  Address address;
  if (text.starts_with("unix:")) {
    address.path = text.substr(5);
    if (address.path.empty())
      wrong("no path");
    return address;
  }
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos)
    wrong("no port");
  std::string_view host = text.substr(0, colon), port = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    wrong("an IPv6 address needs brackets");
  address.host = host.empty() ? "0.0.0.0" : host;
  auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size() || address.port < 0 ||
      address.port > 65535)
    wrong("the port is not a number from 0 to 65535");
  return address;
}

} // namespace lmc
