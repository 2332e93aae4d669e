// Why:    kernels, plans and ledgers want numbers; what stays symbolic must be named and ranged.
// Before: %y = lm.matmul %x, %w : (tensor<?x64xf32, #lm.dims<"T">>, ...) -> ...    bind=T=32
// After:  %y = lm.matmul %x, %w : (tensor<32x64xf32>, ...) -> tensor<32x128xf32>
// Needs:  argument types. Leaves: types that agree with inference; every remaining symbol has a
//         range in the function's `lm.ranges`. Numerics: exact.
// Order:  first: everything after it reads shapes.
#include "passes/Passes.h"

#include "ir/Dialect.h"
#include "passes/Retype.h"

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_INFERSHAPES
#include "passes/Passes.h.inc"

namespace {

using Bindings = llvm::StringMap<int64_t>;

Type bind(Type type, const Bindings &bindings) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return type;
  lm::Shape shape = lm::shapeOf(type);
  for (lm::Dim &dim : shape)
    if (!dim.isStatic())
      if (auto at = bindings.find(dim.symbol.getValue()); at != bindings.end())
        dim = at->second;
  return lm::tensorType(shape, tensor.getElementType());
}

/// What the op's own rule says of its results, or the written types with symbols bound where it has
/// no rule.
LogicalResult inferAgain(Operation *op, const Bindings &bindings) {
  SmallVector<Type> types;
  if (auto inferred = dyn_cast<InferTypeOpInterface>(op)) {
    if (failed(inferred.inferReturnTypes(op->getContext(), op->getLoc(), op->getOperands(),
                                         op->getDiscardableAttrDictionary(),
                                         op->getPropertiesStorage(), op->getRegions(), types)))
      return failure();
  } else {
    for (Type type : op->getResultTypes())
      types.push_back(bind(type, bindings));
  }
  for (auto [result, type] : llvm::zip_equal(op->getResults(), types))
    result.setType(type);
  return success();
}

struct InferShapes : impl::InferShapesBase<InferShapes> {
  using InferShapesBase::InferShapesBase;

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    Bindings bindings;
    if (failed(readBindings(function, bindings)))
      return signalPassFailure();
    Block &body = function.getBody().front();
    for (BlockArgument argument : body.getArguments())
      argument.setType(bind(argument.getType(), bindings));
    for (Operation &op : body.without_terminator())
      if (failed(inferAgain(&op, bindings)))
        return signalPassFailure();
    updateSignature(function);
    if (failed(checkSymbols(function, bindings)))
      signalPassFailure();
  }

private:
  LogicalResult readBindings(func::FuncOp function, Bindings &result) {
    auto ranges = function->getAttrOfType<DictionaryAttr>("lm.ranges");
    for (const std::string &text : bindings) {
      auto [name, value] = StringRef(text).split('=');
      int64_t extent;
      if (name.empty() || value.getAsInteger(10, extent) || extent < 1)
        return function.emitError() << "'" << text << "' is not symbol=extent";
      if (auto range = ranges ? ranges.getAs<DenseI64ArrayAttr>(name) : DenseI64ArrayAttr();
          range && range.size() == 2)
        if (extent < range[0] || extent > range[1])
          return function.emitError() << name << " = " << extent << " is outside its range ["
                                      << range[0] << ", " << range[1] << "]";
      result[name] = extent;
    }
    return success();
  }

  /// Sizes are computed in 64 bits further on; no machine holds a tensor of this many elements.
  static constexpr int64_t kMostElements = int64_t(1) << 48;

  static LogicalResult checkType(Operation *op, Type type, const NamedAttrList &ranges) {
    if (!isa<RankedTensorType>(type))
      return success();
    int64_t elements = 1;
    for (const lm::Dim &dim : lm::shapeOf(type)) {
      auto range =
          dim.isStatic() ? nullptr : dyn_cast_or_null<DenseI64ArrayAttr>(ranges.get(dim.symbol));
      if (!dim.isStatic() && !range)
        return op->emitError() << "symbol '" << dim.symbol.getValue()
                               << "' has neither a number nor a range in lm.ranges";
      int64_t extent = range ? range[1] : dim.size;
      if (extent > 0 && elements > kMostElements / extent)
        return op->emitError() << type << " has more than 2^48 elements";
      elements *= extent;
    }
    return success();
  }

  /// Drops the ranges of bound symbols; every other symbol must have one.
  LogicalResult checkSymbols(func::FuncOp function, const Bindings &bound) {
    NamedAttrList ranges(function->getAttrOfType<DictionaryAttr>("lm.ranges"));
    for (NamedAttribute attribute : ranges) {
      auto range = dyn_cast<DenseI64ArrayAttr>(attribute.getValue());
      if (!range || range.size() != 2 || range[0] < 1 || range[1] < range[0])
        return function.emitError()
               << "lm.ranges: " << attribute.getName().getValue()
               << " must be array<i64: least, largest> with 1 <= least <= largest";
    }
    for (const auto &binding : bound)
      ranges.erase(binding.getKey());
    if (ranges.empty())
      function->removeAttr("lm.ranges");
    else
      function->setAttr("lm.ranges", ranges.getDictionary(&getContext()));
    for (BlockArgument argument : function.getArguments())
      if (failed(checkType(function, argument.getType(), ranges)))
        return failure();
    WalkResult walk = function.walk([&](Operation *op) {
      for (Type type : op->getResultTypes())
        if (failed(checkType(op, type, ranges)))
          return WalkResult::interrupt();
      return WalkResult::advance();
    });
    return failure(walk.wasInterrupted());
  }
};

} // namespace
} // namespace lmc
