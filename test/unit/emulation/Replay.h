// Launches of emulated kernels with the memory that they need, as a file: written by a test, run by a
// program that a sanitizer is built into (replay.cpp). Plain C++17, as kernels are.
#pragma once

#include <cstdint>
#include <istream>
#include <ostream>
#include <string>
#include <type_traits>
#include <vector>

namespace lmc::test {

struct Replay {
  /// A part of a region; a kernel gets it without anything around it.
  struct Operand {
    unsigned region;
    uint64_t offset, bytes;
  };
  /// Arguments of emulation::encode; `offset` in bytes from the operand's start.
  struct Map {
    unsigned operand;
    uint64_t offset;
    std::vector<uint64_t> sizes, strides;
    std::vector<uint32_t> box;
  };
  /// Parameters are operands (one each, or an array of all), extents and maps, in that order.
  struct Launch {
    std::string kernel;
    unsigned grid, block, shared;
    bool together; ///< the operands are one parameter
    std::vector<Operand> operands;
    std::vector<int64_t> extents;
    std::vector<Map> maps;
  };

  unsigned seed = 1;
  std::vector<std::string> regions;
  std::vector<Launch> launches;
};

/// Calls visit(field) for each field of a part, in the file's order.
template <typename Part, typename Visit> void visitFields(Part &part, Visit visit) {
  using Plain = std::remove_const_t<Part>;
  if constexpr (std::is_same_v<Plain, Replay>)
    visit(part.seed), visit(part.regions), visit(part.launches);
  else if constexpr (std::is_same_v<Plain, Replay::Launch>)
    visit(part.kernel), visit(part.grid), visit(part.block), visit(part.shared),
        visit(part.together), visit(part.operands), visit(part.extents), visit(part.maps);
  else if constexpr (std::is_same_v<Plain, Replay::Operand>)
    visit(part.region), visit(part.offset), visit(part.bytes);
  else
    visit(part.operand), visit(part.offset), visit(part.sizes), visit(part.strides),
        visit(part.box);
}

struct ReplayWriter {
  std::ostream &out;

  template <typename T> void operator()(const T &value) {
    if constexpr (std::is_arithmetic_v<T>)
      out.write(reinterpret_cast<const char *>(&value), sizeof(value));
    else
      visitFields(value, *this);
  }
  void operator()(const std::string &bytes) {
    (*this)(bytes.size());
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  template <typename T> void operator()(const std::vector<T> &list) {
    (*this)(list.size());
    for (const T &one : list)
      (*this)(one);
  }
};

struct ReplayReader {
  std::istream &in;

  template <typename T> void operator()(T &value) {
    if constexpr (std::is_arithmetic_v<T>)
      in.read(reinterpret_cast<char *>(&value), sizeof(value));
    else
      visitFields(value, *this);
  }
  void operator()(std::string &bytes) {
    size_t size = 0;
    (*this)(size);
    bytes.resize(size);
    in.read(bytes.data(), static_cast<std::streamsize>(size));
  }
  template <typename T> void operator()(std::vector<T> &list) {
    size_t size = 0;
    (*this)(size);
    list.resize(size);
    for (T &one : list)
      (*this)(one);
  }
};

} // namespace lmc::test
