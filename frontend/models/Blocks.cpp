#include "frontend/models/Blocks.h"

#include <algorithm>
#include <cmath>

using namespace mlir;

namespace lmc {

Value linear(ModelGraph &m, StringRef path, StringRef name, Value x, WeightLayout layout) {
  lm::GraphBuilder g = m.g.at(path);
  Value y =
      g.matmul(x, m.parameter((name + ".weight").str()), false, layout == WeightLayout::OutIn);
  Value bias = m.parameter((name + ".bias").str());
  return bias ? g.add(y, bias) : y;
}

Value layerNorm(ModelGraph &m, StringRef path, StringRef name, Value x) {
  lm::GraphBuilder g = m.g.at(path);
  Value weight = m.parameter((name + ".weight").str());
  Value bias = m.parameter((name + ".bias").str());
  if (!bias)
    bias = g.fullLike(0, weight);
  return g.b.create<lm::LayerNormOp>(g.loc, x, weight, bias, g.b.getF64FloatAttr(m.config.normEps));
}

Value rmsNorm(ModelGraph &m, StringRef path, StringRef name, Value x) {
  lm::GraphBuilder g = m.g.at(path);
  Value weight = m.parameter((name + ".weight").str());
  const DecoderStyle *style = decoderStyle(m.config.architecture);
  if (style && style->offsetNorms)
    weight = g.add(weight, 1);
  return g.b.create<lm::RmsNormOp>(g.loc, x, weight, g.b.getF64FloatAttr(m.config.normEps));
}

Value activate(lm::GraphBuilder g, Activation kind, Value x) {
  switch (kind) {
  case Activation::GeluExact:
    return g.b.create<lm::GeluOp>(g.loc, x, /*approximate=*/false);
  case Activation::GeluTanh:
    return g.b.create<lm::GeluOp>(g.loc, x, /*approximate=*/true);
  case Activation::Silu:
    return g.b.create<lm::SiluOp>(g.loc, x);
  case Activation::Relu:
    return g.b.create<lm::ReluOp>(g.loc, x);
  }
  llvm_unreachable("an activation");
}

Value drop(ModelGraph &m, StringRef path, Value x, double p) {
  if (p == 0)
    return x;
  lm::GraphBuilder g = m.g.at(path);
  // The bits are uniform on [-2^31, 2^31), and those below the threshold drop their element.
  double threshold = std::min(std::round(p * 0x1p32) - 0x1p31, 0x1p31 - 1);
  Value bits = m.randomBits(g, x);
  Value keep = g.compare("ge", bits, g.fullLike(threshold, bits));
  return g.select(keep, g.mul(x, 1 / (1 - p)), g.fullLike(0, x));
}

Value embed(ModelGraph &m, StringRef path, StringRef name, Value ids) {
  lm::GraphBuilder g = m.g.at(path);
  return g.b.create<lm::GatherOp>(g.loc, m.parameter((name + ".weight").str()), ids);
}

Value positionIds(ModelGraph &m, StringRef path, Value tokens) {
  if (m.isBatch())
    return m.past();
  lm::GraphBuilder g = m.g.at(path);
  lm::Shape shape = {lm::shapeOf(tokens).back()};
  Value ids = g.iota(lm::tensorType(shape, g.b.getI32Type()), 0);
  return m.past() ? g.add(ids, m.past()) : ids;
}

Value attend(ModelGraph &m, StringRef path, int64_t layer, Value q, Value k, Value v,
             const AttentionOptions &options) {
  lm::GraphBuilder g = m.g.at(path);
  auto swapped = [&](Value x) { // [1, n, ...] and [n, 1, ...]
    lm::Shape shape = lm::shapeOf(x);
    std::swap(shape[0], shape[1]);
    return g.reshape(x, shape);
  };
  if (m.isBatch())
    q = swapped(q), k = swapped(k), v = swapped(v);
  std::tie(k, v) = m.extendCaches(g, layer, k, v);
  lm::AttentionScores scores;
  scores.scale = options.scale.value_or(1 / std::sqrt(static_cast<double>(m.config.headDim)));
  scores.causal = options.causal;
  scores.window = options.window;
  scores.softCap = options.softCap;
  auto attention =
      g.b.create<lm::AttentionOp>(g.loc, ValueRange{q, k, v, m.past(), m.pages()}, scores);
  Value out = attention.getOut();
  return mergeLast(g, m.isBatch() ? swapped(out) : out);
}

Value headLogits(ModelGraph &m, StringRef path, StringRef table, Value x) {
  return m.g.at(path).matmul(x, m.parameter(table), false, /*transposeB=*/true);
}

Value splitLast(lm::GraphBuilder g, Value x, int64_t last) {
  lm::Shape shape = lm::shapeOf(x);
  int64_t whole = shape.pop_back_val().size;
  assert(whole % last == 0 && "a split without rest");
  shape.append({whole / last, last});
  return g.reshape(x, shape);
}

Value mergeLast(lm::GraphBuilder g, Value x) {
  lm::Shape shape = lm::shapeOf(x);
  int64_t last = shape.pop_back_val().size;
  shape.back() = shape.back().size * last;
  return g.reshape(x, shape);
}

} // namespace lmc
