// NumPy's .npy files, as far as `lmc run --output` needs them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

namespace lmc {

/// Writes a row-major float32 [rows, columns] array, atomically. Throws Error naming the file.
///   Source: NumPy enhancement proposal 1, format version 1.0.
void writeNpy(const std::filesystem::path &file, std::span<const float> values, uint64_t rows,
              uint64_t columns);

} // namespace lmc
