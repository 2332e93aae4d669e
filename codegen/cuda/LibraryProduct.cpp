// cuBLASLt finishes a product with what it calls an epilogue: a bias for each column, a matrix that is
// added, GELU. A kernel whose region is more than that, that stores more than one result, or that
// converts operands as it reads them has no form there.
//
// Numerics: sums in f32 as here, in an order of the library's own. A residual that is added to a product
// which was rounded to bf16 before is added before that rounding, which is left out.
#include "codegen/cuda/LibraryProduct.h"

#include "codegen/cuda/ProductShape.h"

#include "mlir/IR/Matchers.h"

#include <algorithm>

using namespace mlir;

namespace lmc::cuda {
namespace {

/// GELU's tanh form as lm.gelu decomposes, of `x`; of factors and of terms numbers come first, then `x`.
constexpr const char *kGelu = "mul(0.5,x,add(1,tanh(mul(0.797885,add(x,mul(0.044715,x,x,x))))))";

/// The operands of nested ops of the same kind: `a`, `b`, `c` of add(a, add(b, c)).
template <typename Op> void flatten(Value value, SmallVectorImpl<Value> &parts) {
  if (auto op = value.getDefiningOp<Op>()) {
    for (Value operand : op->getOperands())
      flatten<Op>(operand, parts);
    return;
  }
  parts.push_back(value);
}

/// One number for all elements.
std::optional<double> constantOf(Value value) {
  if (auto broadcast = value.getDefiningOp<lm::BroadcastOp>())
    value = broadcast.getX();
  DenseElementsAttr elements;
  if (!matchPattern(value, m_Constant(&elements)) || !elements.isSplat() ||
      !isa<FloatType>(elements.getElementType()))
    return std::nullopt;
  return elements.getSplatValue<APFloat>().convertToDouble();
}

class Matcher {
public:
  Matcher(plan::KernelOp kernel, const Ranges &ranges)
      : x(kernel.getBody().front(), ranges, "library", "sm_80"), shape(x) {}

  LibraryFit fit() {
    LibraryFit result;
    if (matchOperands() && matchEpilogue()) {
      product.m = gridOf(shape.m);
      product.n = gridOf(shape.n);
      product.k = gridOf(shape.k);
      product.batch = gridOf(x.product(shape.batch));
      result.product = product;
    }
    result.refusal = refusal;
    return result;
  }

private:
  bool refuse(std::string why) {
    refusal = std::move(why);
    return false;
  }

  bool matchOperands() {
    if (shape.batch.size() > 1)
      return refuse("has more than one batch dimension");
    Type element = shape.a.traced.element;
    if (element != shape.b.traced.element || !(element.isF32() || element.isBF16()))
      return refuse("multiplies neither f32 nor bf16");
    if (shape.a.storage() != element || shape.b.storage() != element)
      return refuse("rounds an operand as it reads it");
    product.bf16 = element.isBF16();
    return describe(shape.a, product.a, !shape.a.alongDepth) &&
           describe(shape.b, product.b, shape.b.alongDepth);
  }

  bool describe(const ProductSide &side, LibraryOperand &operand, bool transposed) {
    if (!side.depth.is(1) && !side.across.is(1))
      return refuse("reads an operand whose elements lie apart");
    operand.buffer = side.traced.buffer.getArgNumber();
    operand.transposed = transposed;
    operand.step = gridOf(side.alongDepth ? side.across : side.depth);
    if (!side.batch.empty())
      operand.batchStep = gridOf(side.batch.front());
    int64_t bytes = side.storage().getIntOrFloatBitWidth() / 8;
    for (auto &[start, step] : side.traced.starts) {
      Extent extent = x.product(step);
      if (start != 0 && !extent.symbols.empty())
        return refuse("reads a part that begins at a symbolic place");
      operand.offset += start * extent.factor * bytes;
    }
    return true;
  }

  bool matchEpilogue() {
    if (x.numOutputs() != 1)
      return refuse("stores more than one result");
    Value result = x.outputValue(0);
    Type element = lm::elementOf(result);
    if (!element.isF32() && !element.isBF16())
      return refuse("stores neither f32 nor bf16");
    product.resultBuffer = x.body.getNumArguments();
    product.roundsResult = element.isBF16();
    if (auto rounded = result.getDefiningOp<lm::ConvertOp>())
      result = rounded.getX();
    if (Value inner = innerOfGelu(result)) {
      product.gelu = true;
      result = inner;
    }
    SmallVector<Value> terms;
    flatten<lm::AddOp>(withoutRounding(result), terms);
    int products = 0;
    for (Value term : terms)
      if (!take(term, element, products))
        return false;
    return products == 1 || refuse("does not store the product itself");
  }

  /// bf16 and back.
  static Value withoutRounding(Value value) {
    auto back = value.getDefiningOp<lm::ConvertOp>();
    auto there = back ? back.getX().getDefiningOp<lm::ConvertOp>() : nullptr;
    return there && there.getX().getType() == value.getType() ? there.getX() : value;
  }

  bool take(Value term, Type element, int &products) {
    if (Value inner = withoutRounding(term); inner != term) {
      // The product with its bias, which was rounded before the rest is added.
      SmallVector<Value> terms;
      flatten<lm::AddOp>(inner, terms);
      return llvm::all_of(terms, [&](Value each) { return take(each, element, products); });
    }
    if (term == shape.op.getY())
      return ++products == 1 || refuse("adds the product twice");
    if (auto broadcast = term.getDefiningOp<lm::BroadcastOp>()) {
      auto source = dyn_cast<BlockArgument>(broadcast.getX());
      int64_t last = static_cast<int64_t>(shape.y.size()) - 1;
      bool perColumn = source && broadcast.getDims() == ArrayRef<int64_t>{last} &&
                       x.product(lm::shapeOf(source)).factor == shape.n.factor;
      if (!perColumn || product.bias)
        return refuse("adds what is neither one bias for each column nor a matrix");
      if (lm::elementOf(source) != element)
        return refuse("adds a bias of another element type than its result");
      product.bias = source.getArgNumber();
      return true;
    }
    auto argument = dyn_cast<BlockArgument>(term);
    if (!argument)
      return refuse("finishes with more than bias, GELU and a sum");
    if (lm::elementOf(argument) != element || product.addend)
      return refuse(product.addend ? "adds more than one matrix"
                                   : "adds a matrix of another element type than its result");
    product.addend = argument.getArgNumber();
    return true;
  }

  // --- GELU, from what it was decomposed to

  /// What GELU is taken of, or null.
  Value innerOfGelu(Value value) {
    SmallVector<Value> factors;
    flatten<lm::MulOp>(value, factors);
    for (Value factor : factors)
      if (!factor.getDefiningOp<lm::TanhOp>() && form(value, factor) == kGelu)
        return factor;
    return {};
  }

  std::string form(Value value, Value leaf) {
    if (value == leaf)
      return "x";
    if (std::optional<double> number = constantOf(value))
      return fmt::format("{:.6g}", *number);
    if (auto tanh = value.getDefiningOp<lm::TanhOp>())
      return "tanh(" + form(tanh.getX(), leaf) + ")";
    if (value.getDefiningOp<lm::MulOp>())
      return sorted<lm::MulOp>("mul", value, leaf);
    if (value.getDefiningOp<lm::AddOp>())
      return sorted<lm::AddOp>("add", value, leaf);
    return "?";
  }

  template <typename Op> std::string sorted(const char *name, Value value, Value leaf) {
    std::vector<std::string> forms;
    collect<Op>(value, leaf, forms);
    std::ranges::sort(forms, {}, [](const std::string &text) {
      return std::pair(text == "x" ? 1 : text.find('(') == text.npos ? 0 : 2, text);
    });
    return fmt::format("{}({})", name, llvm::join(forms, ","));
  }

  /// As flatten, but the leaf, itself perhaps a sum, stays whole.
  template <typename Op> void collect(Value value, Value leaf, std::vector<std::string> &forms) {
    auto op = value.getDefiningOp<Op>();
    if (!op || value == leaf) {
      forms.push_back(form(value, leaf));
      return;
    }
    for (Value operand : op->getOperands())
      collect<Op>(operand, leaf, forms);
  }

  Expression x;
  ProductShape shape;
  LibraryProduct product;
  std::string refusal;
};

} // namespace

LibraryFit fitLibrary(plan::KernelOp kernel, const Ranges &ranges) {
  Block &body = kernel.getBody().front();
  if (llvm::none_of(body, [](Operation &op) { return isa<lm::MatmulOp>(op); }))
    return {std::nullopt, "multiplies quantised weights"};
  return Matcher(kernel, ranges).fit();
}

} // namespace lmc::cuda
