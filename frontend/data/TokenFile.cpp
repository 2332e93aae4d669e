#include "frontend/data/TokenFile.h"

#include "runtime/Error.h"

#include <cassert>
#include <cstring>

namespace lmc {

TokenWidth tokenWidthFor(int64_t vocab) {
  return vocab > 65536 ? TokenWidth::U32 : TokenWidth::U16;
}

TokenFile::TokenFile(const std::filesystem::path &path, TokenWidth width, std::string name)
    : shownName(name.empty() ? path.string() : std::move(name)), file(path), width(width),
      count(int64_t(file.bytes().size() / size_t(width))) {
  if (file.bytes().empty())
    fail("'{}': has no tokens", shownName);
  if (file.bytes().size() % size_t(width) != 0)
    fail("'{}': {} bytes are no whole number of {}-byte token ids", shownName, file.bytes().size(),
         int(width));
}

void TokenFile::read(int64_t first, std::span<int32_t> ids, int64_t vocab) const {
  assert(first >= 0 && first + int64_t(ids.size()) <= count);
  const std::byte *bytes = file.bytes().data() + size_t(first) * size_t(width);
  for (size_t i = 0; i < ids.size(); ++i) {
    uint32_t id = 0;
    std::memcpy(&id, bytes + i * size_t(width), size_t(width));
    if (id >= uint64_t(vocab))
      fail("'{}': token {} at position {} is outside the vocabulary of {}", shownName, id,
           first + int64_t(i), vocab);
    ids[i] = int32_t(id);
  }
}

} // namespace lmc
