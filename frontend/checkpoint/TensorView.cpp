#include "frontend/checkpoint/TensorView.h"

#include "runtime/Error.h"

#include <fmt/ranges.h>

#include <cassert>

namespace lmc {

int64_t TensorView::numElements() const {
  if (!parts.empty())
    return static_cast<int64_t>(parts.size()) * parts.front().numElements();
  const TensorFormat &format = formatOf(type);
  return int64_t(bytes.size()) / format.blockBytes * format.blockElements;
}

uint64_t TensorView::sizeBytes() const {
  uint64_t size = bytes.size();
  for (const TensorView &part : parts)
    size += part.sizeBytes();
  return size;
}

int64_t TensorView::storedRow(int64_t row) const {
  assert(order != StoredOrder::Transposed);
  if (order == StoredOrder::Rows)
    return row;
  int64_t headDim = shape.front() / heads, head = row / headDim, i = row % headDim,
          half = headDim / 2;
  if (order == StoredOrder::RotaryPairs)
    return head * headDim + (i < half ? 2 * i : 2 * (i - half) + 1);
  return head * headDim + i / 2 + i % 2 * half;
}

std::string shapeText(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

namespace {

/// The elements of a view that is not stored row by row.
void readInOrder(const TensorView &view, const TensorFormat &format, int64_t numBlocks,
                 std::span<float> values) {
  int64_t rows = view.shape.front(), columns = int64_t(values.size()) / rows;
  bool transposed = view.order == StoredOrder::Transposed;
  int64_t storedRows = transposed ? columns : rows, blocksPerRow = numBlocks / storedRows;
  auto stored = [&](int64_t row) {
    return view.bytes.data() + row * blocksPerRow * format.blockBytes;
  };
  if (!transposed) {
    for (int64_t row = 0; row < rows; ++row)
      format.dequantise(stored(view.storedRow(row)), blocksPerRow, values.data() + row * columns);
    return;
  }
  std::vector<float> column(rows);
  for (int64_t c = 0; c < columns; ++c) {
    format.dequantise(stored(c), blocksPerRow, column.data());
    for (int64_t row = 0; row < rows; ++row)
      values[row * columns + c] = column[row];
  }
}

} // namespace

void readAsF32(const TensorView &view, std::span<float> values) {
  assert(int64_t(values.size()) == view.numElements());
  if (!view.parts.empty()) {
    size_t each = values.size() / view.parts.size();
    for (size_t i = 0; i < view.parts.size(); ++i)
      readAsF32(view.parts[i], values.subspan(i * each, each));
    return;
  }
  const TensorFormat &format = formatOf(view.type);
  if (!format.dequantise)
    fail("a tensor of type {} cannot be read as F32", format.name);
  int64_t numBlocks = int64_t(view.bytes.size()) / format.blockBytes;
  if (view.order == StoredOrder::Rows || numBlocks == 0)
    format.dequantise(view.bytes.data(), numBlocks, values.data());
  else
    readInOrder(view, format, numBlocks, values);
  if (view.offset != 0)
    for (float &value : values)
      value += view.offset;
}

} // namespace lmc
