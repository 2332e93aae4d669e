#include "frontend/tokenizer/Tokenizer.h"

#include "frontend/tokenizer/ConfigFile.h"
#include "frontend/tokenizer/SentencePieceFile.h"
#include "frontend/tokenizer/Utf8.h"
#include "runtime/Error.h"

#include <nlohmann/json.hpp>

#include <fstream>
#include <sstream>

namespace lmc {

void Tokenizer::encodePart(std::string_view text, bool atStart, std::vector<int32_t> &ids) const {
  std::vector<int32_t> part = encode(text, false);
  ids.insert(ids.end(), part.begin(), part.end());
}

void Tokenizer::decodeNext(int32_t id, DecodeState &, std::string &bytes) const {
  bytes += tokenBytes(id);
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skipSpecial) const {
  DecodeState state;
  std::string text;
  for (int32_t id : ids)
    if (!skipSpecial || !isSpecial(id))
      decodeNext(id, state, text);
  decodeEnd(state, text);
  return text;
}

StreamDecoder::StreamDecoder(const Tokenizer &tokenizer, bool continuesText, bool skipSpecial)
    : tokenizer(tokenizer), skipSpecial(skipSpecial) {
  state.continuesText = continuesText;
}

std::string StreamDecoder::takeComplete() {
  size_t complete = pending.size() - unfinishedUtf8Suffix(pending);
  std::string text = toValidUtf8(std::string_view(pending).substr(0, complete));
  pending.erase(0, complete);
  return text;
}

std::string StreamDecoder::push(int32_t id) {
  if (!skipSpecial || !tokenizer.isSpecial(id))
    tokenizer.decodeNext(id, state, pending);
  return takeComplete();
}

std::string StreamDecoder::finish() {
  tokenizer.decodeEnd(state, pending);
  std::string text = toValidUtf8(pending);
  pending.clear();
  return text;
}

static std::string readText(const std::filesystem::path &path) {
  constexpr uintmax_t mostBytes = 256 << 20; // the largest published ones are 35 MB
  if (std::filesystem::file_size(path) > mostBytes)
    fail("'{}': {} bytes are too many for a tokenizer (at most {})", path.string(),
         std::filesystem::file_size(path), mostBytes);
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file || !text)
    fail("'{}': cannot be read", path.string());
  return std::move(text).str();
}

std::string readTokenizerConfig(const std::filesystem::path &folder) {
  std::filesystem::path file = folder / "tokenizer_config.json",
                        chat = folder / "chat_template.jinja";
  std::string text = std::filesystem::is_regular_file(file) ? readText(file) : "";
  if (!std::filesystem::is_regular_file(chat))
    return text;
  auto config = nlohmann::json::parse(text.empty() ? "{}" : text, nullptr, false);
  if (!config.is_object())
    return text; // its reader says what is wrong with it
  config["chat_template"] = readText(chat);
  try {
    return config.dump();
  } catch (const nlohmann::json::exception &) {
    fail("'{}': is not UTF-8", chat.string());
  }
}

bool holdsTokenizer(const std::filesystem::path &folder) {
  return std::filesystem::exists(folder / "tokenizer.json") ||
         std::filesystem::exists(folder / "tokenizer.model");
}

std::unique_ptr<Tokenizer> loadTokenizer(const std::string &nameOrPath) {
  if (nameOrPath == "byte")
    return makeByteTokenizer();
  std::filesystem::path path(nameOrPath);
  if (std::filesystem::is_directory(path)) {
    bool sentencePiece = !std::filesystem::exists(path / "tokenizer.json") &&
                         std::filesystem::exists(path / "tokenizer.model");
    path /= sentencePiece ? "tokenizer.model" : "tokenizer.json";
  }
  if (!std::filesystem::is_regular_file(path))
    fail("'{}': no such tokenizer (use `byte`, a tokenizer.json, a tokenizer.model, or a folder "
         "that holds one)",
         path.string());
  std::string config = readTokenizerConfig(path.parent_path());
  if (path.extension() == ".json")
    return parseTokenizer(readText(path), config, path.string());
  return parseSentencePiece(readText(path), config, path.string());
}

} // namespace lmc
