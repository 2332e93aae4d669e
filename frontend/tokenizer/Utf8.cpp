#include "frontend/tokenizer/Utf8.h"

#include <algorithm>

namespace lmc {

namespace {
/// What may follow a lead byte: total length and the range of the second byte.
struct Form {
  size_t length;
  uint8_t low, high;
};
} // namespace

static Form formOf(uint8_t lead) {
  if (lead < 0x80)
    return {1, 0, 0};
  if (lead >= 0xC2 && lead <= 0xDF)
    return {2, 0x80, 0xBF};
  if (lead >= 0xE0 && lead <= 0xEF)
    return {3, uint8_t(lead == 0xE0 ? 0xA0 : 0x80), uint8_t(lead == 0xED ? 0x9F : 0xBF)};
  if (lead >= 0xF0 && lead <= 0xF4)
    return {4, uint8_t(lead == 0xF0 ? 0x90 : 0x80), uint8_t(lead == 0xF4 ? 0x8F : 0xBF)};
  return {0, 0, 0};
}

/// The number of bytes at the start of text that agree with a character's form, and that form's
/// length (0: not even the first byte does).
static std::pair<size_t, size_t> scan(std::string_view text) {
  Form form = formOf(uint8_t(text[0]));
  if (form.length == 0)
    return {0, 0};
  size_t good = 1;
  while (good < form.length && good < text.size()) {
    uint8_t byte = uint8_t(text[good]);
    uint8_t low = good == 1 ? form.low : 0x80, high = good == 1 ? form.high : 0xBF;
    if (byte < low || byte > high)
      break;
    ++good;
  }
  return {good, form.length};
}

size_t utf8Length(std::string_view text) {
  if (text.empty())
    return 0;
  Form form = formOf(uint8_t(text[0]));
  if (form.length <= 1 || text.size() < form.length)
    return form.length == 1;
  auto isContinuation = [&](size_t i) { return (uint8_t(text[i]) & 0xC0) == 0x80; };
  bool good = uint8_t(text[1]) >= form.low && uint8_t(text[1]) <= form.high &&
              (form.length < 3 || isContinuation(2)) && (form.length < 4 || isContinuation(3));
  return good ? form.length : 0;
}

char32_t utf8CodePoint(std::string_view text, size_t length) {
  if (length == 1)
    return uint8_t(text[0]);
  char32_t point = uint8_t(text[0]) & (0x7F >> length);
  for (size_t i = 1; i < length; ++i)
    point = point << 6 | (uint8_t(text[i]) & 0x3F);
  return point;
}

void appendUtf8(std::string &text, char32_t point) {
  if (point < 0x80) {
    text += char(point);
  } else if (point < 0x800) {
    text += char(0xC0 | point >> 6);
    text += char(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    text += char(0xE0 | point >> 12);
    text += char(0x80 | (point >> 6 & 0x3F));
    text += char(0x80 | (point & 0x3F));
  } else {
    text += char(0xF0 | point >> 18);
    text += char(0x80 | (point >> 12 & 0x3F));
    text += char(0x80 | (point >> 6 & 0x3F));
    text += char(0x80 | (point & 0x3F));
  }
}

size_t validUtf8Prefix(std::string_view text) {
  size_t position = 0;
  while (position < text.size()) {
    if (uint8_t(text[position]) < 0x80) {
      ++position;
      continue;
    }
    size_t length = utf8Length(text.substr(position));
    if (length == 0)
      break;
    position += length;
  }
  return position;
}

size_t unfinishedUtf8Suffix(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    std::string_view suffix = text.substr(text.size() - back);
    if ((uint8_t(suffix[0]) & 0xC0) == 0x80)
      continue; // not a lead byte
    auto [good, length] = scan(suffix);
    return good == back && good < length ? back : 0;
  }
  return 0;
}

std::string toValidUtf8(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    size_t valid = validUtf8Prefix(text);
    result.append(text, 0, valid);
    text.remove_prefix(valid);
    if (text.empty())
      break;
    result += "\xEF\xBF\xBD";
    text.remove_prefix(std::max<size_t>(1, scan(text).first));
  }
  return result;
}

} // namespace lmc
