#include "runtime/Npy.h"

#include "runtime/AtomicFile.h"

#include <fmt/format.h>

#include <bit>
#include <cassert>
#include <string>

namespace lmc {

void writeNpy(const std::filesystem::path &file, std::span<const float> values, uint64_t rows,
              uint64_t columns) {
  static_assert(std::endian::native == std::endian::little);
  assert(values.size() == rows * columns);
  std::string dictionary =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
  // Magic, version and length take 10 bytes; spaces and a newline bring the data to a multiple
  // of 64.
  dictionary.append(63 - (10 + dictionary.size()) % 64, ' ');
  dictionary += '\n';

  std::string header("\x93NUMPY\1\0", 8);
  header += char(dictionary.size() & 0xff);
  header += char(dictionary.size() >> 8);
  header += dictionary;

  AtomicFile out(file);
  out.write(header);
  out.write(std::as_bytes(values));
  out.commit();
}

} // namespace lmc
