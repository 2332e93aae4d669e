// Token ids in a file without a header: little-endian uint16 or uint32, memory-mapped.
#pragma once

#include "frontend/checkpoint/MappedFile.h"

#include <cstdint>
#include <filesystem>
#include <span>

namespace lmc {

enum class TokenWidth { U16 = 2, U32 = 4 }; // bytes of an id

/// The width that a vocabulary needs: U32 above 65536 tokens.
TokenWidth tokenWidthFor(int64_t vocab);

class TokenFile {
public:
  /// Error if the file is missing, empty, or no whole number of ids. name: for errors, path if
  /// empty.
  TokenFile(const std::filesystem::path &path, TokenWidth width, std::string name = {});

  int64_t size() const { return count; }
  const std::string &name() const { return shownName; }

  /// ids[i] = token first + i. Error naming the position of a token that is not in [0, vocab);
  /// first + ids.size() must not exceed size().
  void read(int64_t first, std::span<int32_t> ids, int64_t vocab) const;

private:
  std::string shownName;
  MappedFile file;
  TokenWidth width;
  int64_t count;
};

} // namespace lmc
