// Sizes in bytes as users write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lmc {

/// What parseByteSize takes, for "expected ..., got ...".
inline constexpr std::string_view kByteSizeForm =
    "a size such as 2GiB, 1500 MiB or 800MB (KiB, MiB, GiB, TiB, KB, MB, GB, TB, or plain bytes)";

/// "1.5GiB" -> 1610612736. Bytes where there is no unit; a fraction only with one; the result is
/// rounded down. Nothing where the text is none, or not between 1 and 2^62 bytes.
std::optional<int64_t> parseByteSize(std::string_view text);

/// In the largest binary unit that divides it, so that it reads back: 2147483648 -> "2GiB".
std::string formatByteSize(int64_t bytes);

} // namespace lmc
