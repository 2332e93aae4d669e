// A hand-made executable with every kind of tensor, small enough to predict all results:
//   program forward, n in 1..100:
//     product[n] = x[n] * w[n]                         in steps of 7 items
//     cache[n] += product[n]; y[n] = cache[n] * scale  even split
//     total = sum(y)                                   one item, with scratch
// w is used where it is stored, scale is copied into the state region, cache is per slot.
#pragma once

#include "runtime/Executable.h"

#include <filesystem>
#include <string>

namespace lmc::test {

inline constexpr int64_t kMostItems = 100;
inline constexpr float kScale = 0.5f;

executable::Executable tinyMessage();
lmc::DataSection tinyData();
std::shared_ptr<const Executable> tinyExecutable();

/// w[i] of the stored weight.
inline float tinyWeight(int64_t i) { return 1.0f + 0.25f * float(i % 5); }

/// A fresh folder that is removed with the object.
class Folder {
public:
  Folder();
  ~Folder();
  std::filesystem::path operator/(const std::string &name) const { return path / name; }
  size_t numFiles() const;

  std::filesystem::path path;
};

std::string readFile(const std::filesystem::path &file);
void writeFile(const std::filesystem::path &file, const std::string &bytes);

/// What Error the call throws, or "" for none.
template <typename Call> std::string errorOf(Call &&call) {
  try {
    call();
  } catch (const std::exception &error) {
    return error.what();
  }
  return "";
}

} // namespace lmc::test
