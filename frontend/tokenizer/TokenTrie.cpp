#include "frontend/tokenizer/TokenTrie.h"

#include "frontend/tokenizer/Unicode.h"

#include <algorithm>
#include <cstring>

namespace lmc {

TokenTrie::TokenTrie(std::span<const std::pair<std::string_view, int32_t>> list)
    : afterFirst(none) {
  std::vector<std::pair<std::string_view, int32_t>> tokens(list.begin(), list.end());
  std::erase_if(tokens, [](const auto &token) { return token.first.empty(); });
  std::ranges::stable_sort(tokens, {}, &std::pair<std::string_view, int32_t>::first);

  // Breadth first: node i has the tokens of ranges[i], which agree in its `depth` bytes.
  struct Range {
    size_t begin, end, depth;
  };
  std::vector<Range> ranges = {{0, tokens.size(), 0}};
  nodes.emplace_back();
  bytes.push_back(0);
  for (size_t node = 0; node < nodes.size(); ++node) {
    auto [at, end, depth] = ranges[node];
    for (; at < end && tokens[at].first.size() == depth; ++at)
      nodes[node].id = tokens[at].second;
    nodes[node].firstChild = uint32_t(nodes.size());
    while (at < end) {
      char byte = tokens[at].first[depth];
      size_t begin = at;
      while (at < end && tokens[at].first[depth] == byte)
        ++at;
      ranges.push_back({begin, at, depth + 1});
      nodes.emplace_back();
      bytes.push_back(byte);
    }
    nodes[node].numChildren = uint32_t(nodes.size()) - nodes[node].firstChild;
    std::string_view text = depth > 0 ? tokens[ranges[node].begin].first.substr(0, depth) : "";
    if (unicode::Character c = depth > 0 ? unicode::characterAt(text) : unicode::Character();
        depth == c.length && !c.isByte)
      afterFirst.set(c.point, uint32_t(node));
  }
}

uint32_t TokenTrie::childOf(uint32_t node, char byte) const {
  const auto &[first, count, id] = nodes[node];
  const char *begin = bytes.data() + first;
  if (count > 8) {
    const void *found = std::memchr(begin, byte, count);
    return found ? uint32_t(static_cast<const char *>(found) - bytes.data()) : none;
  }
  for (uint32_t i = 0; i < count; ++i)
    if (begin[i] == byte)
      return first + i;
  return none;
}

uint32_t TokenTrie::nodeAfterFirst(std::string_view text, size_t &length) const {
  unicode::Character c = unicode::characterAt(text);
  length = c.length;
  return c.isByte ? none : afterFirst[c.point];
}

} // namespace lmc
