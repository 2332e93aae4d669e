#include "frontend/tokenizer/SpecialTokens.h"

#include "frontend/tokenizer/Unicode.h"

#include <algorithm>

namespace lmc {

SpecialTokens::SpecialTokens(std::vector<AddedToken> list) : tokens(std::move(list)) {
  std::erase_if(tokens, [](const AddedToken &token) { return token.content.empty(); });
  std::sort(tokens.begin(), tokens.end(), [](const AddedToken &a, const AddedToken &b) {
    return a.content.size() != b.content.size() ? a.content.size() > b.content.size() : a.id < b.id;
  });
  for (uint32_t i = 0; i < tokens.size(); ++i) {
    uint8_t first = uint8_t(tokens[i].content[0]);
    byFirstByte[first].push_back(i);
    begins[first] = true;
  }
}

const AddedToken *SpecialTokens::matchAt(std::string_view text) const {
  for (uint32_t i : byFirstByte[uint8_t(text[0])])
    if (text.starts_with(tokens[i].content))
      return &tokens[i];
  return nullptr;
}

/// The character that ends at `end`, or none.
static unicode::Character characterBefore(std::string_view text, size_t end) {
  for (size_t length = std::min<size_t>(4, end); length > 0; --length)
    if (utf8Length(text.substr(end - length)) == length)
      return unicode::characterAt(text.substr(end - length));
  return {0xFFFD, 0, uint8_t(std::min<size_t>(1, end)), true};
}

static bool touchesWord(std::string_view text, size_t begin, size_t end) {
  return (begin > 0 && characterBefore(text, begin).classes & unicode::Word) ||
         (end < text.size() && unicode::characterAt(text.substr(end)).classes & unicode::Word);
}

std::vector<SpecialTokens::Segment> SpecialTokens::split(std::string_view text) const {
  std::vector<Segment> segments;
  size_t begin = 0; // of the ordinary text not yet given out
  for (size_t position = 0; !tokens.empty() && position < text.size();) {
    if (!begins[uint8_t(text[position])]) {
      ++position;
      continue;
    }
    const AddedToken *token = matchAt(text.substr(position));
    if (!token) {
      ++position;
      continue;
    }
    size_t end = position + token->content.size(), left = position;
    if (token->singleWord && touchesWord(text, position, end)) {
      position = end;
      continue;
    }
    while (token->stripLeft && left > begin) {
      unicode::Character before = characterBefore(text, left);
      if (!(before.classes & unicode::Space))
        break;
      left -= before.length;
    }
    while (token->stripRight && end < text.size()) {
      unicode::Character after = unicode::characterAt(text.substr(end));
      if (!(after.classes & unicode::Space))
        break;
      end += after.length;
    }
    if (left > begin)
      segments.push_back({text.substr(begin, left - begin), -1});
    segments.push_back({text.substr(left, end - left), token->id});
    begin = position = end;
  }
  if (begin < text.size())
    segments.push_back({text.substr(begin), -1});
  return segments;
}

bool SpecialTokens::mayEndWith(char last) const {
  return std::any_of(tokens.begin(), tokens.end(),
                     [&](const AddedToken &token) { return token.content.back() == last; });
}

bool SpecialTokens::anyContainsSpace() const {
  return std::any_of(tokens.begin(), tokens.end(), [](const AddedToken &token) {
    return token.stripLeft || token.stripRight || token.singleWord ||
           token.content.find(' ') != std::string::npos;
  });
}

} // namespace lmc
