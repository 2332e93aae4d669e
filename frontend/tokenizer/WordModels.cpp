#include "frontend/tokenizer/WordModels.h"

#include "frontend/tokenizer/Unicode.h"
#include "runtime/Error.h"

namespace lmc {

/// The tokens that start with a prefix, without it.
static TokenTrie tokensBehind(std::string_view prefix, const StringMap<int32_t> &vocabulary) {
  std::vector<TokenTrie::Token> tokens;
  for (const auto &[token, id] : vocabulary)
    if (token.starts_with(prefix))
      tokens.emplace_back(std::string_view(token).substr(prefix.size()), id);
  return TokenTrie(tokens);
}

WordPieceModel::WordPieceModel(const StringMap<int32_t> &vocabulary, Options given)
    : first(tokensBehind("", vocabulary)), continuing(tokensBehind(given.prefix, vocabulary)),
      options(std::move(given)) {}

/// Whether a text has more than `most` characters.
static bool isLonger(std::string_view text, size_t most) {
  if (text.size() <= most)
    return false;
  size_t count = 0;
  unicode::forEach(text, [&](unicode::Character, std::string_view) { ++count; });
  return count > most;
}

void WordPieceModel::encode(std::string_view word, std::vector<int32_t> &ids) const {
  if (isLonger(word, options.maxCharacters)) {
    ids.push_back(options.unknownId);
    return;
  }
  size_t before = ids.size();
  for (size_t at = 0; at < word.size();) {
    size_t longest = 0;
    int32_t token = -1;
    std::string_view rest = word.substr(at);
    const TokenTrie &tokens = at == 0 ? first : continuing;
    tokens.forEachPrefix(rest, unicode::characterAt(rest), [&](size_t length, int32_t id) {
      longest = length;
      token = id;
    });
    if (longest == 0) {
      ids.resize(before);
      ids.push_back(options.unknownId);
      return;
    }
    ids.push_back(token);
    at += longest;
  }
}

void WordLevelModel::encode(std::string_view word, std::vector<int32_t> &ids) const {
  auto found = vocabulary.find(word);
  if (found == vocabulary.end() && !unknownId)
    fail("the tokenizer has no token for '{}' and no unknown token", toValidUtf8(word));
  ids.push_back(found == vocabulary.end() ? *unknownId : found->second);
}

} // namespace lmc
