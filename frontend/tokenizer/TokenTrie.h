// Tokens by their bytes, for finding all that begin at one place of a text. Private to this folder.
#pragma once

#include "frontend/tokenizer/CodePointTable.h"
#include "frontend/tokenizer/Unicode.h"

#include <span>
#include <utility>
#include <vector>

namespace lmc {

/// Built once. A node's children lie in a row of 2^k places, each at the last k bits of its byte, which
/// differ: a step reads one place. A text's first character is looked up as a whole.
class TokenTrie {
public:
  using Token = std::pair<std::string_view, int32_t>; // UTF-8, id (not negative)

  /// Empty tokens are left out, of equal ones the last counts.
  explicit TokenTrie(std::span<const Token> tokens);

  /// Calls visit(length in bytes, id) for each token that text begins with, short ones first. first: the
  /// text's first character.
  template <typename Visit>
  void forEachPrefix(std::string_view text, unicode::Character first, Visit visit) const;

private:
  struct Node {
    uint32_t row = 0; // nodes[row .. row + mask]; nodes[0] is no node
    int32_t id = -1;  // of the token that ends here
    uint8_t mask = 0;
    uint8_t byte = 0; // that leads here
    bool exists = false;
  };

  std::vector<Node> nodes;
  CodePointTable<uint32_t> afterFirst; // the node after a character; 0: none
};

template <typename Visit>
void TokenTrie::forEachPrefix(std::string_view text, unicode::Character first, Visit visit) const {
  if (first.isByte)
    return;
  size_t length = first.length;
  for (uint32_t at = afterFirst[first.point]; at != 0; ++length) {
    const Node &node = nodes[at];
    if (node.id >= 0)
      visit(length, node.id);
    if (length == text.size())
      return;
    uint8_t byte = uint8_t(text[length]);
    uint32_t next = node.row + (byte & node.mask);
    at = nodes[next].exists && nodes[next].byte == byte ? next : 0;
  }
}

} // namespace lmc
