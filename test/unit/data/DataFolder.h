// A folder of a test's own with data files in it, removed with everything in it.
#pragma once

#include "frontend/data/TokenFile.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace lmc {

class DataFolder {
public:
  DataFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "lmc-test-XXXXXX").string();
    if (!mkdtemp(name.data()))
      throw std::runtime_error("mkdtemp failed");
    path = name;
  }
  ~DataFolder() { std::filesystem::remove_all(path); }

  std::filesystem::path write(const std::string &name, const std::string &content) const {
    std::ofstream(path / name, std::ios::binary) << content;
    return path / name;
  }

  /// uint16 ids.
  std::shared_ptr<const TokenFile> tokens(const std::vector<uint16_t> &ids) const {
    std::string bytes(reinterpret_cast<const char *>(ids.data()), ids.size() * 2);
    return std::make_shared<TokenFile>(write("tokens.bin", bytes), TokenWidth::U16);
  }

  /// Token i is i.
  std::shared_ptr<const TokenFile> counting(size_t count) const {
    std::vector<uint16_t> ids(count);
    for (size_t i = 0; i < count; ++i)
      ids[i] = uint16_t(i);
    return tokens(ids);
  }

  std::filesystem::path path;
};

inline std::vector<int32_t> allTokens(const TokenFile &file, int64_t vocab = 1 << 30) {
  std::vector<int32_t> ids(file.size());
  file.read(0, ids, vocab);
  return ids;
}

} // namespace lmc
