// Tokens by their bytes, for finding all that begin at one place of a text. Private to this folder.
#pragma once

#include "frontend/tokenizer/CodePointTable.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace lmc {

/// Built once. The children of a node lie side by side in the order of their bytes, so a node takes 13
/// bytes; a text's first character is looked up as a whole.
class TokenTrie {
public:
  /// tokens: UTF-8, each with an id that is not negative; empty ones are left out, of equal ones the
  /// last counts.
  explicit TokenTrie(std::span<const std::pair<std::string_view, int32_t>> tokens);

  /// Calls visit(length in bytes, id) for each token that text begins with, short ones first.
  template <typename Visit> void forEachPrefix(std::string_view text, Visit visit) const;

private:
  struct Node {
    uint32_t firstChild = 0, numChildren = 0;
    int32_t id = -1; // of the token that ends here
  };
  static constexpr uint32_t none = 0; // the root is no child
  uint32_t childOf(uint32_t node, char byte) const;
  uint32_t nodeAfterFirst(std::string_view text, size_t &length) const;

  std::vector<Node> nodes;             // nodes[0]: the root
  std::vector<char> bytes;             // by node, that leads to it
  CodePointTable<uint32_t> afterFirst; // the node after a character
};

template <typename Visit> void TokenTrie::forEachPrefix(std::string_view text, Visit visit) const {
  size_t length = 0;
  uint32_t node = nodeAfterFirst(text, length);
  while (node != none) {
    if (nodes[node].id >= 0)
      visit(length, nodes[node].id);
    if (length == text.size())
      break;
    node = childOf(node, text[length++]);
  }
}

} // namespace lmc
