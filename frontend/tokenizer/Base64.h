// Base64 of RFC 4648, with padding.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lmc {

std::string encodeBase64(std::string_view bytes);

/// Nothing if text is not base64.
std::optional<std::string> decodeBase64(std::string_view text);

} // namespace lmc
