// Why:    a training step needs gradients as ordinary graph, so that later passes optimise both.
// Before: func @loss(%w {lm.role = "parameter"}, %x) -> %loss
// After:  func @loss(%w, %x) -> (%loss, %dw {lm.role = "gradient", lm.name = name of %w})
// Needs:  static shapes, a scalar float first result. Leaves: composites and primitives.
//         Numerics: exact (the adjoint rules of the ops; cotangents are added in program order).
// Order:  before decomposition: adjoints of composites are shorter and sharper than those of their
//         parts.
#include "passes/Passes.h"

#include "ir/Dialect.h"
#include "passes/Retype.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_DIFFERENTIATE
#include "passes/Passes.h.inc"

namespace {

/// Values that depend on a parameter through floating-point numbers.
llvm::DenseSet<Value> activeValues(func::FuncOp function) {
  llvm::DenseSet<Value> active;
  for (BlockArgument argument : function.getArguments())
    if (hasRole(function, argument.getArgNumber(), "parameter"))
      active.insert(argument);
  for (Operation &op : function.getBody().front())
    if (llvm::any_of(op.getOperands(), [&](Value v) { return active.contains(v); }))
      for (Value result : op.getResults())
        if (isa<FloatType>(lm::elementOf(result)))
          active.insert(result);
  return active;
}

struct Differentiate : impl::DifferentiateBase<Differentiate> {
  using DifferentiateBase::DifferentiateBase;

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.getName() != this->function)
      return;
    auto *terminator = function.getBody().front().getTerminator();
    if (terminator->getNumOperands() == 0 || !lm::shapeOf(terminator->getOperand(0)).empty() ||
        !isa<FloatType>(lm::elementOf(terminator->getOperand(0)))) {
      function.emitError() << "the first result must be the loss, a scalar float";
      return signalPassFailure();
    }
    active = activeValues(function);
    cotangents.clear();
    if (failed(runBackwards(function)))
      return signalPassFailure();
    appendGradients(function);
  }

private:
  LogicalResult runBackwards(func::FuncOp function) {
    Block &body = function.getBody().front();
    SmallVector<Operation *> forward;
    for (Operation &op : body.without_terminator())
      forward.push_back(&op);
    Value loss = body.getTerminator()->getOperand(0);
    OpBuilder builder(body.getTerminator());
    lm::GraphBuilder g(builder, gradientLoc(loss.getLoc()));
    cotangents[loss] = g.scalar(seed, lm::elementOf(loss));
    for (Operation *op : llvm::reverse(forward))
      if (failed(propagate(op, builder)))
        return failure();
    return success();
  }

  /// Adds what `op` sends back to the cotangents of its operands.
  LogicalResult propagate(Operation *op, OpBuilder &builder) {
    SmallVector<Value> dResults;
    for (Value result : op->getResults())
      dResults.push_back(cotangents.lookup(result));
    if (llvm::none_of(dResults, [](Value v) { return v != nullptr; }) ||
        llvm::none_of(op->getOperands(), [&](Value v) { return active.contains(v); }))
      return success();
    auto rules = dyn_cast<lm::TensorOp>(op);
    if (!rules)
      return lm::notDifferentiable(op, "it is no tensor op");
    lm::GraphBuilder g(builder, gradientLoc(op->getLoc()));
    SmallVector<Value> dOperands(op->getNumOperands());
    if (failed(rules.adjoint(g, dResults, dOperands)))
      return failure();
    for (auto [i, operand] : llvm::enumerate(op->getOperands())) {
      Value cotangent = dOperands[i];
      if (!active.contains(operand))
        continue;
      if (!cotangent) // a gradient must not get lost in silence
        return lm::notDifferentiable(op, "operand " + std::to_string(i) +
                                             " depends on a parameter and takes no gradient");
      assert(cotangent.getType() == operand.getType() && "an adjoint has its operand's type");
      Value &sum = cotangents[operand];
      sum = sum ? g.add(sum, cotangent) : cotangent;
    }
    return success();
  }

  void appendGradients(func::FuncOp function) {
    Operation *terminator = function.getBody().front().getTerminator();
    OpBuilder builder(terminator);
    SmallVector<Value> results(terminator->getOperands());
    SmallVector<StringAttr> names;
    for (BlockArgument argument : function.getArguments()) {
      if (!hasRole(function, argument.getArgNumber(), "parameter"))
        continue;
      Value gradient = cotangents.lookup(argument);
      if (!gradient) // the loss does not depend on it
        gradient = lm::GraphBuilder(builder, argument.getLoc()).full(0, argument.getType());
      results.push_back(gradient);
      names.push_back(function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kName));
    }
    unsigned first = terminator->getNumOperands();
    terminator->setOperands(results);
    updateSignature(function);
    for (auto [i, name] : llvm::enumerate(names)) {
      function.setResultAttr(first + i, kRole, builder.getStringAttr("gradient"));
      if (name)
        function.setResultAttr(first + i, kName, name);
    }
  }

  /// "layers.3.attn.q_proj" -> "layers.3.attn.q_proj.grad".
  Location gradientLoc(Location loc) {
    std::string path = lm::modelPath(loc);
    return NameLoc::get(StringAttr::get(&getContext(), path.empty() ? "grad" : path + ".grad"));
  }

  llvm::DenseSet<Value> active;
  llvm::DenseMap<Value, Value> cotangents;
};

} // namespace
} // namespace lmc
