#include "frontend/tokenizer/TokenTrie.h"

#include <algorithm>
#include <bitset>

namespace lmc {

/// The smallest 2^k - 1 that tells all bytes apart.
static uint8_t maskOf(std::span<const uint8_t> bytes) {
  for (unsigned mask = 0;; mask = 2 * mask + 1) {
    std::bitset<256> taken;
    if (std::ranges::all_of(bytes, [&](uint8_t byte) {
          return !taken[byte & mask] && taken.set(byte & mask).any();
        }))
      return uint8_t(mask);
  }
}

TokenTrie::TokenTrie(std::span<const Token> list) : afterFirst(0) {
  std::vector<Token> tokens(list.begin(), list.end());
  std::erase_if(tokens, [](const Token &token) { return token.first.empty(); });
  std::ranges::stable_sort(tokens, {}, &Token::first);

  struct Range { // the tokens that agree in their first `depth` bytes, which lead to a node
    size_t begin, end, depth;
    uint32_t node;
  };
  nodes.resize(2); // no node, the root
  std::vector<Range> queue = {{0, tokens.size(), 0, 1}};
  for (size_t next = 0; next < queue.size(); ++next) {
    auto [at, end, depth, node] = queue[next];
    if (unicode::Character c = unicode::characterAt(tokens.empty() ? " " : tokens[at].first);
        depth == c.length && !c.isByte)
      afterFirst.set(c.point, node);
    for (; at < end && tokens[at].first.size() == depth; ++at)
      nodes[node].id = tokens[at].second;
    std::vector<uint8_t> bytes;
    size_t firstChild = queue.size();
    while (at < end) {
      size_t begin = at;
      bytes.push_back(uint8_t(tokens[begin].first[depth]));
      while (at < end && uint8_t(tokens[at].first[depth]) == bytes.back())
        ++at;
      queue.push_back({begin, at, depth + 1, 0});
    }
    if (bytes.empty())
      continue;
    uint32_t row = uint32_t(nodes.size());
    uint8_t mask = maskOf(bytes);
    nodes[node].row = row;
    nodes[node].mask = mask;
    nodes.resize(nodes.size() + mask + 1);
    for (size_t i = 0; i < bytes.size(); ++i) {
      uint32_t child = row + (bytes[i] & mask);
      nodes[child].byte = bytes[i];
      nodes[child].exists = true;
      queue[firstChild + i].node = child;
    }
  }
}

} // namespace lmc
