// Text files as a stream of pieces, so that a corpus need not fit into memory.
#pragma once

#include "frontend/tokenizer/Tokenizer.h"

#include <filesystem>

namespace lmc {

/// .txt: one document of any bytes, in pieces of about 1 MiB. .jsonl: a document a line, an object
/// with a string "text"; empty lines are passed over. The source throws Error, for .jsonl with
/// file:line. Error for other file names, and if the file is missing or empty.
TextSource readTexts(const std::filesystem::path &path);

bool isJsonLines(const std::filesystem::path &path);

} // namespace lmc
