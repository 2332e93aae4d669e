// Rows as signed bytes, and rows of block-quantised tables as f32 (device/blocks.cuh).
#include "codegen/cuda/Blocks.h"

#include "runtime/Error.h"

using namespace mlir;

namespace lmc::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr int64_t kBlock = 32; ///< numbers that share a scale

template <typename Op> Op only(Block &body) {
  for (Operation &inner : body)
    if (auto found = dyn_cast<Op>(inner))
      return found;
  llvm_unreachable("the family names the op");
}

unsigned argumentOf(Value value) { return cast<BlockArgument>(value).getArgNumber(); }

} // namespace

BlockText::BlockText(const lm::BlockPanels &panels, Operation *op) {
  if (panels.width != kBlockWidth)
    fail("'{}': kernels for CUDA read panels of {} columns, these have {}; compile the weights for "
         "this target",
         lm::modelPath(op->getLoc()), kBlockWidth, panels.width);
  const lm::BlockFormat &of = *panels.format;
  format = fmt::format("lmc::BlockFormat<{}, {}, {}, {}, {}, {}, {}, {}>", of.super, of.sub,
                       of.lowBits, of.highBits, of.offset, of.minimums,
                       of.scale == lm::BlockFormat::Scale::Exponent, of.values != nullptr);
  uint32_t words[4] = {};
  for (unsigned i = 0; of.values && i < 16; ++i)
    words[i / 4] |= uint32_t(uint8_t(of.values[i])) << (8 * (i % 4));
  values = fmt::format("lmc::BlockValues{{{{{:#x}u, {:#x}u, {:#x}u, {:#x}u}}}}", words[0], words[1],
                       words[2], words[3]);
}

/// Mapping: a warp quantises 32 neighbours. Limit: memory bandwidth.
Launch emitQuantizeRows(Expression &x) {
  auto op = only<lm::QuantizeRowsOp>(x.body);
  Extent blocks = x.product(lm::shapeOf(op.getScales()));
  x.line(fmt::format("const index_t block = static_cast<index_t>(blockIdx.x) * {} + "
                     "static_cast<index_t>(threadIdx.x) / {};",
                     kThreads / kBlock, kBlock));
  x.line(fmt::format("if (block >= {})", x.text(blocks)));
  x.line("  return;"); // the whole warp
  x.line(fmt::format("const int lane = static_cast<int>(threadIdx.x) % {};", kBlock));
  x.line(fmt::format("const lmc::QuantizedNumber made = lmc::quantize({}[block * {} + lane]);",
                     x.input(argumentOf(op.getX())), kBlock));
  x.line(fmt::format("{}[block * {} + lane] = made.code;", x.output(0), kBlock));
  x.braces("if (lane == 0)", [&] {
    x.line(fmt::format("{}[block] = made.scale;", x.output(1)));
    x.line(fmt::format("{}[block] = made.sum;", x.output(2)));
  });
  x.line("if (lane % 16 == 0)");
  x.line(fmt::format("  {}[2 * block + lane / 16] = made.halfSum;", x.output(3)));
  return {gridOf(blocks, kThreads / kBlock), kThreads, "a warp for 32 numbers"};
}

/// Mapping: a thread reads four neighbours of a row, a word of a column's panel. Limit: memory
/// bandwidth, of which it uses 4 bytes a sector: rows are few.
Launch emitBlockGather(Expression &x) {
  auto op = only<lm::BlockGatherOp>(x.body);
  const lm::BlockPanels panels{
      lm::findBlockFormat(op.getFormat().str()), static_cast<int64_t>(op.getDepth()),
      static_cast<int64_t>(op.getColumns()), static_cast<int64_t>(op.getWidth())};
  BlockText text(panels, op);
  lm::Shape ids = lm::shapeOf(op.getIds()), quads = ids;
  quads.push_back(panels.depth / 4);
  Extent size = x.product(quads);
  x.line(fmt::format("const index_t flat = static_cast<index_t>(blockIdx.x) * {} + "
                     "static_cast<index_t>(threadIdx.x);",
                     kThreads));
  x.line(fmt::format("if (flat >= {})", x.text(size)));
  x.line("  return;");
  Index at;
  at.at = x.unflatten(x.div("flat", std::to_string(panels.depth / 4)), ids);
  std::string id = x.evaluate(op.getIds(), at);
  x.line(fmt::format("const auto *panel = reinterpret_cast<const unsigned char *>({}) + "
                     "static_cast<index_t>({}) / {} * {};",
                     x.input(argumentOf(op.getWeights())), id, kBlockWidth, panels.panelBytes()));
  x.line(fmt::format("const int k = static_cast<int>(flat % {}) * 4;", panels.depth / 4));
  x.line(fmt::format(
      "const auto four = lmc::readBlocks<{}>(panel, {}, {}, static_cast<int>({}) % {}, k);",
      text.format, panels.codesAt(), text.values, id, kBlockWidth));
  x.line(fmt::format("lmc::storeVector<4>({}, flat * 4, (flat + 1) * 4, four);", x.output(0)));
  return {gridOf(size, kThreads), kThreads, "four elements a thread"};
}

} // namespace lmc::cuda
