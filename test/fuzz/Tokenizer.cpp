// Hostile tokenizer.json and tokenizer.model files: each is an Error or a tokenizer that keeps its
// promises. What begins with '{' is the former.
#include "frontend/tokenizer/Tokenizer.h"
#include "frontend/tokenizer/SentencePieceFile.h"
#include "frontend/tokenizer/Utf8.h"
#include "runtime/Error.h"

#include <cstdlib>

using namespace lmc;

static void require(bool holds) {
  if (!holds)
    std::abort();
}

static void use(const Tokenizer &tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  try {
    ids = tokenizer.encode(text, true);
  } catch (const Error &) {
    return; // a character without a token, a pattern that backtracks too much
  }
  StreamDecoder stream(tokenizer, false, false);
  std::string pieces;
  for (int32_t id : ids) {
    require(id >= 0 && id < tokenizer.vocabSize());
    pieces += stream.push(id);
    require(validUtf8Prefix(pieces) == pieces.size());
  }
  require(pieces + stream.finish() == toValidUtf8(tokenizer.decode(ids)));
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view file(reinterpret_cast<const char *>(data), size);
  std::unique_ptr<Tokenizer> tokenizer;
  try {
    tokenizer = file.starts_with('{') ? parseTokenizer(file)
                                      : parseSentencePiece(file, "", "tokenizer.model");
  } catch (const Error &) {
    return 0;
  }
  use(*tokenizer, "The king's 12 men,  na\u00EFve \u65E5\u672C\n\t<s>\xFF\xE6\x97 \U0001F600");
  use(*tokenizer, file.substr(0, 400));
  return 0;
}
