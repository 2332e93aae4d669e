#include "frontend/tokenizer/SpecialTokens.h"

#include <algorithm>

namespace lmc {

SpecialTokens::SpecialTokens(std::vector<AddedToken> list) : tokens(std::move(list)) {
  std::erase_if(tokens, [](const AddedToken &token) { return token.content.empty(); });
  std::sort(tokens.begin(), tokens.end(), [](const AddedToken &a, const AddedToken &b) {
    return a.content.size() != b.content.size() ? a.content.size() > b.content.size() : a.id < b.id;
  });
  for (uint32_t i = 0; i < tokens.size(); ++i)
    byFirstByte[uint8_t(tokens[i].content[0])].push_back(i);
}

const AddedToken *SpecialTokens::matchAt(std::string_view text) const {
  for (uint32_t i : byFirstByte[uint8_t(text[0])])
    if (text.starts_with(tokens[i].content))
      return &tokens[i];
  return nullptr;
}

static bool isSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

std::vector<SpecialTokens::Segment> SpecialTokens::split(std::string_view text) const {
  std::vector<Segment> segments;
  size_t begin = 0; // of the ordinary text not yet given out
  for (size_t position = 0; !tokens.empty() && position < text.size();) {
    const AddedToken *token = matchAt(text.substr(position));
    if (!token) {
      ++position;
      continue;
    }
    size_t end = position + token->content.size(), left = position;
    while (token->stripLeft && left > begin && isSpace(text[left - 1]))
      --left;
    while (token->stripRight && end < text.size() && isSpace(text[end]))
      ++end;
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
    return token.stripLeft || token.stripRight || token.content.find(' ') != std::string::npos;
  });
}

} // namespace lmc
