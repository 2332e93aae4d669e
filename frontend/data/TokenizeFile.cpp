#include "frontend/data/TokenizeFile.h"

#include "frontend/data/TextReader.h"
#include "runtime/AtomicFile.h"
#include "runtime/Error.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <unistd.h>

namespace lmc {

namespace {

/// Gathers ids and hands them on in large pieces.
class IdWriter {
public:
  using Sink = std::function<void(std::span<const std::byte>)>;
  IdWriter(TokenWidth width, Sink sink) : width(width), sink(std::move(sink)) {}

  void add(std::span<const int32_t> ids) {
    for (int32_t id : ids) {
      const std::byte *bytes = reinterpret_cast<const std::byte *>(&id);
      buffer.insert(buffer.end(), bytes, bytes + size_t(width));
    }
    if (buffer.size() >= size_t(1) << 20)
      flush();
  }
  void flush() {
    sink(buffer);
    buffer.clear();
  }

private:
  TokenWidth width;
  Sink sink;
  std::vector<std::byte> buffer;
};

/// A file without a name is removed with its last user, however the process ends.
class TemporaryIds {
public:
  TemporaryIds() {
    std::string name = (std::filesystem::temp_directory_path() / "lmc-tokens-XXXXXX").string();
    descriptor = mkstemp(name.data());
    if (descriptor < 0)
      fail("'{}': cannot be created: {}", name, std::strerror(errno));
    path = name;
  }
  ~TemporaryIds() {
    close(descriptor);
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR)
        continue;
      if (written < 0)
        fail("'{}': cannot be written: {} (set a cache folder with more room)", path.string(),
             std::strerror(errno));
      bytes = bytes.subspan(size_t(written));
    }
  }
  std::filesystem::path path;

private:
  int descriptor;
};

} // namespace

static void tokenize(const std::filesystem::path &path, const Tokenizer &tokenizer, IdWriter &out) {
  TextSource source = readTexts(path);
  bool endDocuments = isJsonLines(path) && tokenizer.eosId();
  std::string pending; // of the document so far, not yet encoded
  bool atStart = true;
  std::vector<int32_t> ids;
  auto encode = [&](std::string_view text) {
    ids.clear();
    tokenizer.encodePart(text, atStart, ids);
    out.add(ids);
  };
  TextPiece piece;
  while (source(piece)) {
    size_t known = pending.empty() ? 0 : pending.size() - 1; // no cut before here
    pending += piece.text;
    if (piece.endsDocument) {
      encode(pending);
      pending.clear();
      atStart = true;
      if (endDocuments)
        out.add(std::array{*tokenizer.eosId()});
    } else if (size_t cut = tokenizer.safeCut(std::string_view(pending).substr(known))) {
      encode(std::string_view(pending).substr(0, known + cut));
      pending.erase(0, known + cut);
      atStart = false;
    }
  }
  if (!pending.empty())
    encode(pending);
  out.flush();
}

/// Names what the ids depend on: the text, how it is read, the tokenizer, and this code's version.
static std::string cacheName(const std::filesystem::path &path, const Tokenizer &tokenizer) {
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                 XXH3_freeState);
  if (!state)
    throw std::bad_alloc();
  XXH3_128bits_reset(state.get());
  std::string settings = fmt::format("1\n{}\n{}\n{}\n", isJsonLines(path), tokenizer.serialize(),
                                     tokenizer.serializeConfig());
  XXH3_128bits_update(state.get(), settings.data(), settings.size());
  std::ifstream file(path, std::ios::binary);
  std::string block(size_t(1) << 20, '\0');
  while (file.read(block.data(), std::streamsize(block.size())) || file.gcount() > 0)
    XXH3_128bits_update(state.get(), block.data(), size_t(file.gcount()));
  if (file.bad() || !file.eof())
    fail("'{}': cannot be read", path.string());
  XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  return fmt::format("{}-{:016x}{:016x}.bin", path.stem().string(), hash.high64, hash.low64);
}

std::shared_ptr<const TokenFile> openDataFile(const std::filesystem::path &path,
                                              const DataFileOptions &options) {
  if (!std::filesystem::exists(path))
    fail("'{}': no such data file", path.string());
  if (path.extension() == ".bin")
    return std::make_shared<TokenFile>(path, options.width.value_or(tokenWidthFor(options.vocab)));
  if (path.extension() != ".txt" && !isJsonLines(path))
    fail("'{}': unknown kind of data file (known: .txt, .jsonl, .bin)", path.string());
  if (!options.tokenizer)
    fail("'{}': a text needs a tokenizer (give one, or a .bin of token ids)", path.string());

  const Tokenizer &tokenizer = *options.tokenizer;
  TokenWidth width = tokenWidthFor(tokenizer.vocabSize());
  if (options.cacheFolder.empty()) {
    TemporaryIds ids;
    IdWriter writer(width, [&](std::span<const std::byte> bytes) { ids.write(bytes); });
    tokenize(path, tokenizer, writer);
    return std::make_shared<TokenFile>(ids.path, width, path.string());
  }
  std::error_code error;
  std::filesystem::create_directories(options.cacheFolder, error);
  if (error)
    fail("'{}': cannot be created: {}", options.cacheFolder.string(), error.message());
  std::filesystem::path cached = options.cacheFolder / cacheName(path, tokenizer);
  if (!std::filesystem::exists(cached)) {
    AtomicFile file(cached);
    IdWriter writer(width, [&](std::span<const std::byte> bytes) { file.write(bytes); });
    tokenize(path, tokenizer, writer);
    file.commit();
  }
  return std::make_shared<TokenFile>(cached, width, path.string());
}

} // namespace lmc
