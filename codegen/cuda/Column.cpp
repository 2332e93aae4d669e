// The column family: reductions over leading dimensions, bias and norm-weight gradients.
//
// Mapping: a block has a strip of neighbouring columns and goes through all rows; its threads stand
// [slices, columns of the strip], a slice takes every kSlices'th row. Then the slices are added up
// in shared memory, one after the other: one order, which depends on shapes alone. Narrow strips
// (one sector of memory, 32 bytes) where wide ones would leave most of the GPU without a block.
// Limit: reading the rows once.
#include "codegen/cuda/Expression.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace lmc::cuda {
namespace {

constexpr unsigned kThreads = 512;
constexpr int64_t kWide = 32, kNarrow = 8; ///< columns of a strip
/// From so many wide strips on every SM has some.
constexpr int64_t kEnough = 256;

} // namespace

Launch emitColumn(Expression &x) {
  ColumnSpace space(x.body);
  SmallVector<Reduction> reductions(space.reductions.begin(), space.reductions.end());
  ArrayRef<lm::Dim> leading = space.leading, outer = space.outer;
  int64_t columns = space.columns;
  int64_t width = columns >= kWide * kEnough ? kWide : kNarrow;
  int64_t slices = kThreads / width, strips = (columns + width - 1) / width;

  x.line(fmt::format("const index_t strip = static_cast<index_t>(blockIdx.x) % {};", strips));
  x.line(fmt::format("const index_t slice = static_cast<index_t>(threadIdx.x) / {};", width));
  x.line(fmt::format(
      "const index_t column = strip * {0} + static_cast<index_t>(threadIdx.x) % {0};", width));
  SmallVector<std::string, 4> outerAt;
  if (!outer.empty()) {
    x.line(fmt::format("const index_t outer = static_cast<index_t>(blockIdx.x) / {};", strips));
    outerAt = x.unflatten("outer", outer);
  }
  for (Reduction &r : reductions)
    r.start(x);
  std::string inside = fmt::format("if (column < {})", columns);
  x.braces(inside, [&] {
    std::string rows = x.text(x.product(leading));
    x.braces(fmt::format("for (index_t row = slice; row < {}; row += {})", rows, slices), [&] {
      Index index;
      index.at = x.unflatten("row", leading);
      llvm::append_range(index.at, outerAt);
      index.at.push_back("column");
      for (Reduction &r : reductions)
        r.combine(x, index);
    });
  });
  for (Reduction &r : reductions) {
    std::string result = x.fresh();
    x.line(fmt::format("__shared__ {} {}_of_slices[{}];", r.type, result, kThreads));
    x.line(fmt::format("const {} {} = lmc::sliceReduce<{}, {}, {}>({}, {}_of_slices);", r.type,
                       result, r.combiner, slices, width, r.sum, result));
    x.define(r.op.getY(), result);
  }
  x.braces(fmt::format("if (slice == 0 && column < {})", columns), [&] {
    Index index;
    index.at = outerAt;
    index.at.push_back("column");
    SmallVector<std::string> elements;
    for (unsigned i = 0; i < x.numOutputs(); ++i)
      elements.push_back(x.evaluate(x.outputValue(i), index));
    for (unsigned i = 0; i < x.numOutputs(); ++i)
      x.store(i, elements[i], index);
  });
  std::vector<GridFactor> grid = {{"", strips, 1}};
  if (!outer.empty())
    llvm::append_range(grid, gridOf(x.product(outer)));
  return {grid, kThreads, fmt::format("{} columns and {} slices of rows a block", width, slices)};
}

} // namespace lmc::cuda
