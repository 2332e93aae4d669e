// A named tensor in a file: element type, shape and bytes, without owning them.
#pragma once

#include "frontend/checkpoint/TensorType.h"
#include "runtime/Bfloat16.h"
#include "runtime/Half.h"

#include <span>
#include <string>
#include <vector>

namespace lmc {

/// How a matrix [rows, columns] lies in its file, where that is not row after row.
enum class StoredOrder {
  Rows,
  /// Its transpose, [columns, rows]: GGUF has all weights as [out, in].
  Transposed,
  /// Rows of a rotary projection, or its bias: within each head x0, x(D/2), x1, x(D/2 + 1), ... in
  /// place of x0, x1, ..., x(D-1). GGUF's llama rotates neighbours, the models here rotate halves.
  RotaryPairs,
  /// The other way: stored are x0, x1, ..., the tensor has x0, x(D/2), x1, ...
  RotaryHalves,
};

/// Little-endian; may be unaligned. The last dimension of what is stored is whole blocks.
struct TensorView {
  TensorType type = TensorType::F32;
  std::vector<int64_t> shape; ///< the tensor's, however it is stored
  std::span<const std::byte> bytes;
  StoredOrder order = StoredOrder::Rows;
  int64_t heads = 0; ///< of rotary orders: rows are a multiple of 2 * heads
  float offset = 0;  ///< is added to every element; GGUF stores some norms as 1 + weight

  /// Not empty: the tensor is in pieces, one for each index of its first dimension. `type` is the
  /// first's, and there are no bytes here.
  std::vector<TensorView> parts = {};

  /// Whether the bytes are the tensor's elements row by row, and nothing is to be done to them.
  bool isPlain() const { return order == StoredOrder::Rows && offset == 0 && parts.empty(); }

  int64_t numElements() const;
  /// Of the tensor's bytes, or those of all its pieces.
  uint64_t sizeBytes() const;
  /// Where row `row` of the tensor is among the stored ones; not of Transposed. Rows of blocks can be
  /// taken as they are.
  int64_t storedRow(int64_t row) const;
};

/// "[50257, 768]"
std::string shapeText(std::span<const int64_t> shape);

/// The elements, row-major, as f32, exactly (but that an offset's sum is rounded). values.size() must
/// be view.numElements(). Error for a type that has no dequantisation.
void readAsF32(const TensorView &view, std::span<float> values);

} // namespace lmc
