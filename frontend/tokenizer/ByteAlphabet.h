// GPT-2's spelling of bytes in vocabularies: every byte is one printable character.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lmc {

/// Bytes that are printable in Latin-1 stand for themselves; the n-th other one is U+0100 + n.
char32_t byteToCharacter(uint8_t byte);

/// The UTF-8 spelling of bytes.
std::string spellBytes(std::string_view bytes);

/// The bytes of a spelling; nothing if it has a character that stands for no byte.
std::optional<std::string> unspellBytes(std::string_view spelling);

/// The bytes in the order of their characters, which is the order of ids in trained vocabularies.
const std::array<uint8_t, 256> &bytesInCharacterOrder();

} // namespace lmc
