// Values of the reference evaluator.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"

#include <cstdint>
#include <vector>

namespace lmc::lm {

/// A dense row-major tensor. Every element type is held as float64 (i1 as 0 or 1, integers
/// exactly).
struct Tensor {
  llvm::SmallVector<int64_t, 4> shape;
  std::vector<double> data;

  Tensor() = default;
  explicit Tensor(llvm::ArrayRef<int64_t> shape, double value = 0)
      : shape(shape.begin(), shape.end()), data(count(shape), value) {}
  Tensor(llvm::ArrayRef<int64_t> shape, std::vector<double> data)
      : shape(shape.begin(), shape.end()), data(std::move(data)) {}

  int64_t size() const { return static_cast<int64_t>(data.size()); }
  int64_t rank() const { return static_cast<int64_t>(shape.size()); }
  int64_t lastDim() const { return shape.empty() ? 1 : shape.back(); }
  static int64_t count(llvm::ArrayRef<int64_t> shape) {
    int64_t product = 1;
    for (int64_t extent : shape)
      product *= extent;
    return product;
  }
};

} // namespace lmc::lm
