#include "ir/BlockPanels.h"
#include "ir/ops/ExpertRows.h"

#include <algorithm>
#include <cmath>

using namespace mlir;

namespace lmc::lm {
namespace {

constexpr int64_t kBlock = 32;

/// The panels that a weight operand holds, of one matrix or of each expert's, or what is wrong with it.
FailureOr<BlockPanels> panelsOf(std::optional<Location> loc, Value weights, StringRef format,
                                int64_t depth, int64_t columns, int64_t width,
                                std::optional<int64_t> experts = {}, bool isTable = false) {
  const BlockFormat *found = findBlockFormat(format.str());
  if (!found)
    return emitOptionalError(loc, "unknown block format '", format, "'");
  if (columns < 1 || width < 1 || depth < 1 || depth % found->super)
    return emitOptionalError(loc, "a matrix of ", format,
                             " needs columns and a depth that is a "
                             "multiple of ",
                             found->super, ", got [", depth, ", ", columns, "]");
  BlockPanels panels{found, depth, columns, width};
  if (panels.isFile() && !(isTable && found->hasFileOrder()))
    return emitOptionalError(loc, "blocks of ", format, " are not read as files have them here",
                             " (a width of 1): only gathers do, of formats without super-blocks",
                             " and high bits");
  Shape shape = shapeOf(weights), expected = {Dim(panels.count()), Dim(panels.panelBytes())};
  if (experts)
    expected.insert(expected.begin(), Dim(*experts));
  if (shape != expected)
    return emitOptionalError(loc, "panels of [", depth, ", ", columns, "] in ", format, " are ",
                             toString(expected), ", got ", toString(shape));
  return panels;
}

std::vector<std::byte> bytesOf(const Tensor &tensor) {
  std::vector<std::byte> bytes(tensor.data.size());
  std::ranges::transform(tensor.data, bytes.begin(),
                         [](double value) { return std::byte(static_cast<int>(value)); });
  return bytes;
}

/// The values of one column of panels, rising k.
std::vector<double> columnOf(const BlockPanels &panels, std::span<const std::byte> bytes,
                             int64_t column) {
  std::vector<double> values;
  const BlockFormat &format = *panels.format;
  for (int64_t index = 0; index < panels.depth / format.super; ++index) {
    UnpackedBlock block = readBlock(panels, bytes, column, index);
    for (int64_t i = 0; i < format.super; ++i) {
      auto [step, minimum] = stepOf(format, block, i / format.sub);
      // f32, as readers of the format have it.
      values.push_back(step * static_cast<float>(integerOf(format, block, i)) - minimum);
    }
  }
  return values;
}

/// Operands as quantize_rows gives them?
template <typename Adaptor> LogicalResult checkQuantized(std::optional<Location> loc, Adaptor op) {
  Shape codes = shapeOf(op.getCodes()), blocks = codes, halves = codes;
  if (codes.empty() || !codes.back().isStatic() || codes.back().size % kBlock)
    return emitOptionalError(loc, "codes are rows of blocks of 32, got ", toString(codes));
  blocks.back() = codes.back().size / kBlock;
  halves.back() = 2 * (codes.back().size / kBlock);
  if (shapeOf(op.getScales()) != blocks || shapeOf(op.getSums()) != blocks ||
      shapeOf(op.getHalfSums()) != halves)
    return emitOptionalError(loc, "scales and sums must be ", toString(blocks), ", half sums ",
                             toString(halves), ", got ", toString(shapeOf(op.getScales())), ", ",
                             toString(shapeOf(op.getSums())), ", ",
                             toString(shapeOf(op.getHalfSums())));
  return success();
}

/// Row `row` of quantised rows times a column w.
double dot(const Tensor &codes, const Tensor &scales, int64_t row, ArrayRef<double> w) {
  auto depth = static_cast<int64_t>(w.size());
  double sum = 0;
  for (int64_t k = 0; k < depth; ++k)
    sum += codes.data[row * depth + k] * scales.data[(row * depth + k) / kBlock] * w[k];
  return sum;
}

} // namespace

LogicalResult QuantizeRowsOp::infer(Adaptor op, std::optional<Location> loc,
                                    SmallVectorImpl<Type> &types) {
  Shape x = shapeOf(op.getX());
  if (x.empty() || !x.back().isStatic() || x.back().size % kBlock)
    return emitOptionalError(loc, "rows are quantised in blocks of 32, got ", toString(x));
  Builder b(op.getX().getContext());
  Shape blocks = x, halves = x;
  blocks.back() = x.back().size / kBlock;
  halves.back() = 2 * (x.back().size / kBlock);
  types.push_back(tensorType(x, b.getI8Type()));
  types.append({tensorType(blocks, b.getF32Type()), tensorType(blocks, b.getF32Type()),
                tensorType(halves, b.getF32Type())});
  return success();
}

LogicalResult QuantizeRowsOp::evaluate(ArrayRef<const Tensor *> operands,
                                       SmallVectorImpl<Tensor> &results) {
  const Tensor &x = *operands[0];
  auto shape = x.shape;
  Tensor codes(shape);
  shape.back() /= kBlock;
  Tensor scales(shape), sums(shape);
  shape.back() *= 2;
  Tensor halfSums(shape);
  for (int64_t block = 0; block < scales.size(); ++block) {
    // f32 as it says, so that a tie falls as it falls in kernels.
    auto at = [&](int64_t i) { return static_cast<float>(x.data[block * kBlock + i]); };
    float largest = 0;
    for (int64_t i = 0; i < kBlock; ++i)
      largest =
          std::isnan(at(i)) || std::isnan(largest) ? NAN : std::max(largest, std::fabs(at(i)));
    bool usable = std::isfinite(largest) && largest > 0;
    float inverse = usable ? 127.0f / largest : 0, scale = usable ? largest / 127.0f : largest;
    float total[2] = {};
    for (int64_t i = 0; i < kBlock; ++i) {
      float code = usable ? std::nearbyint(at(i) * inverse) : 0;
      codes.data[block * kBlock + i] = code;
      total[i / 16] += code;
    }
    scales.data[block] = scale;
    sums.data[block] = scale * (total[0] + total[1]);
    for (int64_t half = 0; half < 2; ++half)
      halfSums.data[2 * block + half] = scale * total[half];
  }
  for (Tensor *result : {&codes, &scales, &sums, &halfSums})
    results.push_back(std::move(*result));
  return success();
}

LogicalResult QuantizeRowsOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return notDifferentiable(*this, "quantised weights are for inference");
}

LogicalResult BlockMatmulOp::infer(Adaptor op, std::optional<Location> loc,
                                   SmallVectorImpl<Type> &types) {
  if (failed(checkQuantized(loc, op)))
    return failure();
  Shape codes = shapeOf(op.getCodes());
  if (failed(panelsOf(loc, op.getWeights(), op.getFormat(), codes.back().size, op.getColumns(),
                      op.getWidth())))
    return failure();
  codes.back() = op.getColumns();
  types.push_back(tensorType(codes, elementOf(op.getScales())));
  return success();
}

LogicalResult BlockMatmulOp::evaluate(ArrayRef<const Tensor *> operands,
                                      SmallVectorImpl<Tensor> &results) {
  const Tensor &codes = *operands[0], &scales = *operands[1];
  int64_t depth = codes.lastDim(), rows = codes.size() / depth, columns = getColumns();
  std::vector<std::byte> bytes = bytesOf(*operands[4]);
  BlockPanels panels{findBlockFormat(getFormat().str()), depth, columns,
                     static_cast<int64_t>(getWidth())};
  auto shape = codes.shape;
  shape.back() = columns;
  Tensor y(shape);
  for (int64_t n = 0; n < columns; ++n) {
    std::vector<double> w = columnOf(panels, bytes, n);
    for (int64_t m = 0; m < rows; ++m)
      y.data[m * columns + n] = dot(codes, scales, m, w);
  }
  results.push_back(std::move(y));
  return success();
}

LogicalResult BlockMatmulOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return notDifferentiable(*this, "quantised weights are for inference");
}

LogicalResult ExpertBlockMatmulOp::infer(Adaptor op, std::optional<Location> loc,
                                         SmallVectorImpl<Type> &types) {
  FailureOr<int64_t> experts = expertsOf(loc, op.getStarts());
  if (failed(experts) || failed(checkQuantized(loc, op)) ||
      failed(checkRows(loc, "codes", op.getCodes(), op.getOrder())) ||
      failed(panelsOf(loc, op.getWeights(), op.getFormat(), shapeOf(op.getCodes()).back().size,
                      op.getColumns(), op.getWidth(), *experts)))
    return failure();
  Shape y = shapeOf(op.getOrder());
  y.push_back(static_cast<int64_t>(op.getColumns()));
  types.push_back(tensorType(y, elementOf(op.getScales())));
  return success();
}

LogicalResult ExpertBlockMatmulOp::evaluate(ArrayRef<const Tensor *> operands,
                                            SmallVectorImpl<Tensor> &results) {
  const Tensor &codes = *operands[0], &scales = *operands[1];
  int64_t depth = codes.lastDim(), columns = getColumns();
  std::vector<std::byte> bytes = bytesOf(*operands[4]);
  BlockPanels panels{findBlockFormat(getFormat().str()), depth, columns,
                     static_cast<int64_t>(getWidth())};
  std::vector<std::vector<int64_t>> rows(operands[6]->size() - 1);
  auto visit = [&](int64_t expert, int64_t row) { rows[expert].push_back(row); };
  if (failed(forEachRow(*this, *operands[5], *operands[6], visit)))
    return failure();
  auto shape = operands[5]->shape;
  shape.push_back(columns);
  Tensor y(shape);
  for (size_t expert = 0; expert < rows.size(); ++expert)
    for (int64_t n = 0; n < columns && !rows[expert].empty(); ++n) {
      auto own = std::span<const std::byte>(bytes).subspan(expert * panels.size(), panels.size());
      std::vector<double> w = columnOf(panels, own, n);
      for (int64_t row : rows[expert])
        y.data[row * columns + n] = dot(codes, scales, row % (codes.size() / depth), w);
    }
  results.push_back(std::move(y));
  return success();
}

LogicalResult ExpertBlockMatmulOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return notDifferentiable(*this, "quantised weights are for inference");
}

LogicalResult BlockGatherOp::infer(Adaptor op, std::optional<Location> loc,
                                   SmallVectorImpl<Type> &types) {
  if (failed(panelsOf(loc, op.getWeights(), op.getFormat(), op.getDepth(), op.getColumns(),
                      op.getWidth(), {}, /*isTable=*/true)))
    return failure();
  Shape y = shapeOf(op.getIds());
  y.push_back(static_cast<int64_t>(op.getDepth()));
  types.push_back(tensorType(y, Float32Type::get(op.getIds().getContext())));
  return success();
}

LogicalResult BlockGatherOp::evaluate(ArrayRef<const Tensor *> operands,
                                      SmallVectorImpl<Tensor> &results) {
  const Tensor &ids = *operands[1];
  std::vector<std::byte> bytes = bytesOf(*operands[0]);
  BlockPanels panels{findBlockFormat(getFormat().str()), static_cast<int64_t>(getDepth()),
                     static_cast<int64_t>(getColumns()), static_cast<int64_t>(getWidth())};
  auto shape = ids.shape;
  shape.push_back(panels.depth);
  Tensor y(shape);
  for (int64_t i = 0; i < ids.size(); ++i) {
    auto id = static_cast<int64_t>(ids.data[i]);
    if (id < 0 || id >= panels.columns)
      return emitOpError() << "id " << id << " is outside the table of " << panels.columns;
    std::ranges::copy(columnOf(panels, bytes, id), y.data.begin() + i * panels.depth);
  }
  results.push_back(std::move(y));
  return success();
}

LogicalResult BlockGatherOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return notDifferentiable(*this, "quantised weights are for inference");
}

} // namespace lmc::lm
