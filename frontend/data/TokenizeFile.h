// From a data file of the train config to its token ids.
#pragma once

#include "frontend/data/TokenFile.h"
#include "frontend/tokenizer/Tokenizer.h"

#include <memory>
#include <optional>

namespace lmc {

struct DataFileOptions {
  /// For text; .bin files need none.
  const Tokenizer *tokenizer = nullptr;
  /// The model's, which decides about the width of .bin files unless width is given.
  int64_t vocab = 0;
  std::optional<TokenWidth> width = std::nullopt;
  /// Where ids of text files are kept between runs, by a hash of text and tokenizer; created if
  /// missing. Empty: in a temporary file that vanishes with the process.
  std::filesystem::path cacheFolder = {};
};

/// .bin is mapped as it is; .txt and .jsonl are tokenised as a stream, neither text nor ids are
/// ever in memory as a whole (only a tokenizer whose texts cannot be cut needs whole documents). No
/// BOS is added; each document of a .jsonl ends with EOS if the tokenizer has one. Error if the
/// file is missing, empty or of another kind, or gives no tokens.
std::shared_ptr<const TokenFile> openDataFile(const std::filesystem::path &path,
                                              const DataFileOptions &options);

} // namespace lmc
