#include "frontend/tokenizer/Tokenizer.h"

#include "frontend/tokenizer/Utf8.h"
#include "runtime/Error.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace lmc {

void Tokenizer::encodePart(std::string_view text, bool atStart, std::vector<int32_t> &ids) const {
  std::vector<int32_t> part = encode(text, false);
  ids.insert(ids.end(), part.begin(), part.end());
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skipSpecial) const {
  std::string text;
  for (int32_t id : ids)
    if (!skipSpecial || !isSpecial(id))
      text += tokenBytes(id);
  size_t spaces = 0;
  while (spaces < leadingSpacesDropped() && spaces < text.size() && text[spaces] == ' ')
    ++spaces;
  return text.substr(spaces);
}

StreamDecoder::StreamDecoder(const Tokenizer &tokenizer, bool continuesText, bool skipSpecial)
    : tokenizer(tokenizer), spacesToDrop(continuesText ? 0 : tokenizer.leadingSpacesDropped()),
      skipSpecial(skipSpecial) {}

std::string StreamDecoder::push(int32_t id) {
  std::string bytes = tokenizer.tokenBytes(id);
  if (skipSpecial && tokenizer.isSpecial(id))
    return {};
  size_t begin = 0;
  while (spacesToDrop > 0 && begin < bytes.size()) {
    if (bytes[begin] != ' ') {
      spacesToDrop = 0;
      break;
    }
    --spacesToDrop;
    ++begin;
  }
  pending.append(bytes, begin);
  size_t complete = pending.size() - unfinishedUtf8Suffix(pending);
  std::string text = toValidUtf8(std::string_view(pending).substr(0, complete));
  pending.erase(0, complete);
  return text;
}

std::string StreamDecoder::finish() {
  std::string text = toValidUtf8(pending);
  pending.clear();
  return text;
}

static std::string readText(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file || !text)
    fail("'{}': cannot be read", path.string());
  return std::move(text).str();
}

std::unique_ptr<Tokenizer> loadTokenizer(const std::string &nameOrPath) {
  if (nameOrPath == "byte")
    return makeByteTokenizer();
  std::filesystem::path path(nameOrPath);
  if (std::filesystem::is_directory(path))
    path /= "tokenizer.json";
  if (!std::filesystem::is_regular_file(path))
    fail("'{}': no such tokenizer (use `byte`, a tokenizer.json, or a folder that holds one)",
         path.string());
  std::filesystem::path config = path.parent_path() / "tokenizer_config.json";
  return parseTokenizer(readText(path),
                        std::filesystem::is_regular_file(config) ? readText(config) : std::string(),
                        path.string());
}

} // namespace lmc
