// Operands of the attention family: where they lie, and as what the device library takes them.
#include "codegen/cuda/AttentionEmitter.h"
#include "codegen/cuda/ScalarPrinter.h"

#include <numeric>

using namespace mlir;

namespace lmc::cuda {

TensorMap AttentionEmitter::mapOf(Value operand, int lines) {
  View view = input(operand);
  TensorMap map;
  map.buffer = view.argument;
  for (const Extent &offset : view.offsets)
    map.offset += 2 * offset.factor;
  for (int i : {3, 2, 1, 0}) {
    map.sizes.push_back(gridOf(x.product(view.shape[i])));
    if (i == 3)
      continue;
    Extent stride = view.strides[i];
    stride.factor *= 2;
    if (map.sizes.back().size() == 1 && x.product(view.shape[i]).is(1))
      stride = {16, 16, {}}; // nobody goes there
    map.strides.push_back(gridOf(stride));
  }
  map.box = {64, 1, static_cast<unsigned>(lines), 1};
  return map;
}

AttentionEmitter::View AttentionEmitter::input(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return viewOf(x.input(argument.getArgNumber()), value, false, argument.getArgNumber());
  Operation *op = value.getDefiningOp();
  View view = input(op->getOperand(0));
  view.shape = lm::shapeOf(value);
  if (isa<lm::ConvertOp>(op))
    return view; // elements are converted as they are copied
  if (auto slice = dyn_cast<lm::SliceOp>(op)) {
    Extent offset = view.strides[slice.getDim()];
    offset.factor *= slice.getStart();
    if (slice.getStart() != 0)
      view.offsets.push_back(offset);
    return view;
  }
  SmallVector<Extent> strides;
  for (int64_t dim : cast<lm::TransposeOp>(op).getPermutation())
    strides.push_back(view.strides[dim]);
  view.strides = strides;
  return view;
}

// Of a result [B, T, H, parts, ...].
AttentionEmitter::View AttentionEmitter::ofPart(View view) const {
  constexpr int dim = 3;
  view.start = x.mul(part, x.text(view.strides[dim]));
  view.strides.erase(view.strides.begin() + dim);
  view.shape.erase(view.shape.begin() + dim);
  return view;
}

AttentionEmitter::View AttentionEmitter::output(unsigned number) {
  return viewOf(x.output(number), op->getResult(number), true);
}

AttentionEmitter::View AttentionEmitter::viewOf(std::string buffer, Value value, bool isOutput,
                                                unsigned argument) {
  View view;
  view.argument = argument;
  view.buffer = std::move(buffer);
  view.storage = lm::elementOf(value);
  view.shape = lm::shapeOf(value);
  view.isOutput = isOutput;
  for (size_t i = 0; i < view.shape.size(); ++i)
    view.strides.push_back(x.product(ArrayRef<lm::Dim>(view.shape).drop_front(i + 1)));
  return view;
}

int AttentionEmitter::chunkOf(const View &view) const {
  if (view.shape.size() < 4 || !view.strides[3].is(1))
    return 0;
  int64_t common = view.shape[3].size;
  for (const Extent &offset : view.offsets)
    common = std::gcd(common, offset.factor);
  for (int i = 0; i < 3; ++i)
    if (!x.product(view.shape[i]).is(1))
      common = std::gcd(common, view.strides[i].factor);
  int64_t bytes = common * view.storage.getIntOrFloatBitWidth() / 8;
  for (int chunk : {16, 8, 4})
    if (bytes % chunk == 0)
      return chunk;
  return 0;
}

void AttentionEmitter::declareInputs(Value q, Value k, Value v, Value lse, Value delta,
                                     Value dout) {
  declare("q", input(q), queryHead);
  declare("k", input(k), keyHead);
  declare("v", input(v), keyHead);
  declareStatistics(lse, delta);
  declare("dout", input(dout), queryHead);
}

void AttentionEmitter::declareStatistics(Value lse, Value delta) {
  declare("lse", input(lse), queryHead);
  declare("delta", input(delta), queryHead);
}

void AttentionEmitter::declareKeys(Value k, Value v, bool aligned) {
  if (!pages) {
    declare("k", input(k), keyHead);
    declare("v", input(v), keyHead);
    return;
  }
  View table = input(pages);
  std::string entries = table.buffer;
  for (const Extent &offset : table.offsets)
    entries += " + " + x.text(offset);
  entries += " + " + x.mul(batch, x.text(table.strides[0]));
  for (auto [name, value] : {std::pair(StringRef("k"), k), {"v", v}}) {
    View view = input(value);
    std::string at = view.buffer;
    for (const Extent &offset : view.offsets)
      at += " + " + x.text(offset);
    at += " + " + x.mul(keyHead, x.text(view.strides[2]));
    x.line(fmt::format("const lmc::PagedRows<const {}, {}, {}, {}, index_t> {} = {{{}, {}, {}, {}, "
                       "{}, {}, {}}};",
                       storageType(view.storage), chunkOf(view), view.shape[1].size, aligned,
                       name.str(), at, x.text(view.strides[1]), x.text(view.strides[3]),
                       x.text(view.strides[0]), entries, x.text(table.strides[1]),
                       x.text(x.product(view.shape[0]))));
  }
}

void AttentionEmitter::declare(StringRef name, const View &view, const std::string &head,
                               int64_t packedHeads) {
  std::string at = view.buffer;
  auto step = [&](const std::string &elements) {
    if (elements != "0")
      at += " + " + elements;
  };
  for (const Extent &offset : view.offsets)
    step(x.text(offset));
  if (!view.start.empty())
    step(view.start);
  step(x.mul(batch, x.text(view.strides[0])));
  step(x.mul(head, x.text(view.strides[2])));
  std::string token = x.text(view.strides[1]), next = x.text(view.strides[2]);
  std::string depth = view.strides.size() > 3 ? x.text(view.strides[3]) : "1";
  x.line(fmt::format("const lmc::Rows<{}{}, {}, {}, index_t> {} = {{{}, {}, {}, {}}};",
                     view.isOutput ? "" : "const ", storageType(view.storage), packedHeads,
                     chunkOf(view), name.str(), at, token, next, depth));
}

} // namespace lmc::cuda
