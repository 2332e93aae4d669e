#include "frontend/tokenizer/ByteAlphabet.h"

#include "frontend/tokenizer/Utf8.h"

#include <algorithm>
#include <numeric>

namespace lmc {

static constexpr bool standsForItself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

namespace {
struct Tables {
  std::array<char32_t, 256> character{};
  std::array<int16_t, 0x144> byte{};
  std::array<uint8_t, 256> order{};
};
} // namespace

static const Tables &tables() {
  static const Tables result = [] {
    Tables t;
    t.byte.fill(-1);
    char32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      t.character[byte] = standsForItself(byte) ? char32_t(byte) : next++;
      t.byte[t.character[byte]] = int16_t(byte);
    }
    std::iota(t.order.begin(), t.order.end(), 0);
    std::sort(t.order.begin(), t.order.end(),
              [&](uint8_t a, uint8_t b) { return t.character[a] < t.character[b]; });
    return t;
  }();
  return result;
}

char32_t byteToCharacter(uint8_t byte) { return tables().character[byte]; }

std::string spellBytes(std::string_view bytes) {
  std::string spelling;
  for (char byte : bytes)
    appendUtf8(spelling, byteToCharacter(uint8_t(byte)));
  return spelling;
}

std::optional<std::string> unspellBytes(std::string_view spelling) {
  std::string bytes;
  while (!spelling.empty()) {
    size_t length = utf8Length(spelling);
    if (length == 0)
      return std::nullopt;
    char32_t point = utf8CodePoint(spelling, length);
    if (point >= tables().byte.size() || tables().byte[point] < 0)
      return std::nullopt;
    bytes += char(tables().byte[point]);
    spelling.remove_prefix(length);
  }
  return bytes;
}

const std::array<uint8_t, 256> &bytesInCharacterOrder() { return tables().order; }

} // namespace lmc
