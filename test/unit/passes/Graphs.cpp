#include "Graphs.h"

#include "ir/Dialect.h"
#include "passes/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <cmath>

using namespace mlir;

namespace lmc::test {
namespace {

/// A function under construction: arguments appear where they are used.
struct Graph {
  explicit Graph(MLIRContext &context)
      : module(ModuleOp::create(UnknownLoc::get(&context))), builder(module->getBodyRegion()),
        f64(builder.getF64Type()),
        function(builder.create<func::FuncOp>(builder.getUnknownLoc(), "loss",
                                              builder.getFunctionType({}, {}))) {
    builder.setInsertionPointToEnd(function.addEntryBlock());
  }

  lm::GraphBuilder at(StringRef path) {
    return lm::GraphBuilder(builder, NameLoc::get(builder.getStringAttr(path)));
  }

  Value argument(StringRef name, StringRef role, ArrayRef<lm::Dim> shape, Type element) {
    unsigned index = function.getNumArguments();
    auto attributes =
        builder.getDictionaryAttr({builder.getNamedAttr(kName, builder.getStringAttr(name)),
                                   builder.getNamedAttr(kRole, builder.getStringAttr(role))});
    function.insertArgument(index, lm::tensorType(shape, element), attributes, at(name).loc);
    return function.getArgument(index);
  }
  Value parameter(StringRef name, ArrayRef<lm::Dim> shape) {
    return argument(name, "parameter", shape, f64);
  }
  Value ids(StringRef name, ArrayRef<lm::Dim> shape) {
    return argument(name, "input", shape, builder.getI32Type());
  }

  /// x W^T + b where `bias`, with W [out, in].
  Value linear(StringRef path, Value x, int64_t out, bool bias) {
    lm::GraphBuilder g = at(path);
    Value w = parameter((path + ".weight").str(), {out, lm::shapeOf(x).back()});
    Value y = g.matmul(x, w, false, true);
    return bias ? g.add(y, parameter((path + ".bias").str(), {out})) : y;
  }
  Value layerNorm(StringRef path, Value x) {
    lm::Dim C = lm::shapeOf(x).back();
    return builder.create<lm::LayerNormOp>(at(path).loc, x,
                                           parameter((path + ".weight").str(), {C}),
                                           parameter((path + ".bias").str(), {C}), eps());
  }
  Value rmsNorm(StringRef path, Value x) {
    Value weight = parameter((path + ".weight").str(), {lm::shapeOf(x).back()});
    return builder.create<lm::RmsNormOp>(at(path).loc, x, weight, eps());
  }
  Value attention(Value q, Value k, Value v, int64_t D) {
    lm::AttentionScores scores{1 / std::sqrt(double(D)), true};
    return builder.create<lm::AttentionOp>(at("attn").loc, ValueRange{q, k, v}, scores).getOut();
  }

  OwningOpRef<ModuleOp> finish(Value logits, Value targets) {
    lm::GraphBuilder g = at("loss");
    Value each = builder.create<lm::CrossEntropyOp>(g.loc, logits, targets);
    Value loss = g.mul(g.sumAll(each), 1.0 / lm::staticSize(each.getType()));
    builder.create<func::ReturnOp>(g.loc, loss);
    function.setType(builder.getFunctionType(function.getArgumentTypes(), loss.getType()));
    function.setResultAttr(0, kName, builder.getStringAttr("loss"));
    function.setResultAttr(0, kRole, builder.getStringAttr("output"));
    return std::move(module);
  }

  FloatAttr eps() { return builder.getF64FloatAttr(1e-5); }

  OwningOpRef<ModuleOp> module;
  OpBuilder builder;
  Type f64;
  func::FuncOp function;
};

} // namespace

OwningOpRef<ModuleOp> mlp(MLIRContext &context) {
  Graph m(context);
  Value x = m.argument("features", "input", {3, 5}, m.f64);
  Value targets = m.ids("targets", {3});
  Value hidden = m.builder.create<lm::ReluOp>(m.at("relu").loc, m.linear("fc1", x, 6, true));
  return m.finish(m.linear("fc2", hidden, 4, true), targets);
}

OwningOpRef<ModuleOp> deepMlp(MLIRContext &context, int depth) {
  Graph m(context);
  constexpr int64_t N = 37, C = 6, F = 13;
  Value x = m.argument("features", "input", {N, C}, m.f64);
  Value targets = m.ids("targets", {N});
  for (int i = 0; i < depth; ++i) {
    std::string path = "layers." + std::to_string(i);
    Value hidden = m.linear(path + ".fc1", m.layerNorm(path + ".norm", x), F, true);
    hidden = m.builder.create<lm::GeluOp>(m.at(path + ".gelu").loc, hidden);
    x = m.at(path).add(x, m.linear(path + ".fc2", hidden, C, true));
  }
  return m.finish(m.linear("head", x, 5, true), targets);
}

OwningOpRef<ModuleOp> gptBlock(MLIRContext &context, BlockSizes s) {
  Graph m(context);
  int64_t C = s.C();
  Value tokens = m.ids("tokens", {s.B, s.T}), targets = m.ids("targets", {s.B, s.T});
  Value wte = m.parameter("wte", {s.V, C}), wpe = m.parameter("wpe", {s.T, C});
  Value x = m.builder.create<lm::GatherOp>(m.at("wte").loc, wte, tokens);
  x = m.at("wpe").add(x, wpe);
  Value qkv = m.linear("attn.qkv", m.layerNorm("ln_1", x), 3 * C, true);
  auto part = [&](int64_t i) {
    lm::GraphBuilder g = m.at("attn.split");
    return g.reshape(g.slice(qkv, 2, i * C, C), {s.B, s.T, s.H, s.D});
  };
  Value attended = m.attention(part(0), part(1), part(2), s.D);
  attended = m.at("attn").reshape(attended, {s.B, s.T, C});
  x = m.at("residual1").add(x, m.linear("attn.proj", attended, C, true));
  Value up = m.linear("mlp.up", m.layerNorm("ln_2", x), s.F, true);
  Value active = m.builder.create<lm::GeluOp>(m.at("mlp.gelu").loc, up, true);
  x = m.at("residual2").add(x, m.linear("mlp.down", active, C, true));
  return m.finish(m.at("head").matmul(m.layerNorm("ln_f", x), wte, false, true), targets);
}

OwningOpRef<ModuleOp> llamaBlock(MLIRContext &context, BlockSizes s) {
  Graph m(context);
  int64_t C = s.C();
  Value tokens = m.ids("tokens", {s.B, s.T}), targets = m.ids("targets", {s.B, s.T});
  Value x =
      m.builder.create<lm::GatherOp>(m.at("embed").loc, m.parameter("embed", {s.V, C}), tokens);
  Value n = m.rmsNorm("input_norm", x);
  Value positions = m.at("rope").iota(cast<RankedTensorType>(lm::tensorType({s.T}, m.f64)), 0);
  Value frequencies = m.at("rope").exp(m.at("rope").mul(
      m.at("rope").iota(cast<RankedTensorType>(lm::tensorType({s.D / 2}, m.f64)), 0), -1.5));
  auto heads = [&](StringRef name, int64_t count) {
    return m.at(name).reshape(m.linear(name, n, count * s.D, false), {s.B, s.T, count, s.D});
  };
  auto rotated = [&](Value y) -> Value {
    return m.builder.create<lm::RopeOp>(m.at("rope").loc, y, positions, frequencies, false);
  };
  Value attended = m.attention(rotated(heads("attn.q", s.H)), rotated(heads("attn.k", s.G)),
                               heads("attn.v", s.G), s.D);
  attended = m.at("attn").reshape(attended, {s.B, s.T, C});
  x = m.at("residual1").add(x, m.linear("attn.o", attended, C, false));
  n = m.rmsNorm("post_norm", x);
  Value gate = m.linear("mlp.gate", n, s.F, false), up = m.linear("mlp.up", n, s.F, false);
  Value active = m.builder.create<lm::SwigluOp>(m.at("mlp.act").loc, gate, up);
  x = m.at("residual2").add(x, m.linear("mlp.down", active, C, false));
  return m.finish(m.linear("head", m.rmsNorm("norm", x), s.V, false), targets);
}

} // namespace lmc::test
