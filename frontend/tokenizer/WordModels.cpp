#include "frontend/tokenizer/WordModels.h"

#include "frontend/tokenizer/Unicode.h"
#include "runtime/Error.h"

namespace lmc {

WordPieceModel::WordPieceModel(StringMap<int32_t> vocabulary, Options given)
    : first(std::move(vocabulary)), options(std::move(given)) {
  for (const auto &[token, id] : first)
    if (token.starts_with(options.prefix))
      continuing.emplace(token.substr(options.prefix.size()), id);
}

void WordPieceModel::encode(std::string_view word, std::vector<int32_t> &ids) const {
  std::vector<size_t> borders = {0};
  unicode::forEach(word, [&](unicode::Character c, std::string_view) {
    borders.push_back(borders.back() + c.length);
  });
  size_t before = ids.size(), at = 0, last = borders.size() - 1;
  while (at < last && last <= options.maxCharacters) {
    const StringMap<int32_t> &tokens = at == 0 ? first : continuing;
    size_t end = last;
    auto found = tokens.end();
    for (; end > at && found == tokens.end(); --end)
      found = tokens.find(word.substr(borders[at], borders[end] - borders[at]));
    if (found == tokens.end())
      break;
    ids.push_back(found->second);
    at = end + 1; // the loop went one further
  }
  if (at == last)
    return;
  ids.resize(before);
  ids.push_back(options.unknownId);
}

void WordLevelModel::encode(std::string_view word, std::vector<int32_t> &ids) const {
  auto found = vocabulary.find(word);
  if (found == vocabulary.end() && !unknownId)
    fail("the tokenizer has no token for '{}' and no unknown token", toValidUtf8(word));
  ids.push_back(found == vocabulary.end() ? *unknownId : found->second);
}

} // namespace lmc
