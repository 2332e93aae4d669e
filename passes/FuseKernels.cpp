// Why:    one launch for what one sweep over memory can compute; recomputed values never touch
//         memory.
// Before: %m = lm.matmul %x, %w   %b = lm.broadcast %bias   %h = lm.add %m, %b
// After:  %h = lm.kernel "matmul"(%x, %w, %bias) { ... lm.yield %h }
// Needs:  primitives. Leaves: lm.kernel, and views of what kernels stored (Views.h).
//         Numerics: exact.
// Order:  after flash attention, before memory planning. The rules stand in Fusion.h.
#include "passes/Passes.h"

#include "ir/Dialect.h"
#include "passes/Fusion.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_FUSEKERNELS
#include "passes/Passes.h.inc"

namespace {

/// Builds the region of one group.
class KernelBuilder {
public:
  KernelBuilder(const Fusion &fusion, const KernelGroup &group, IRMapping &kernelValues)
      : fusion(fusion), group(group), kernelValues(kernelValues) {}

  lm::KernelOp build(OpBuilder &builder) {
    for (Operation *anchor : group.anchors)
      for (Value operand : anchor->getOperands())
        collect(operand);
    SmallVector<Value> inputs, outputs;
    for (Value input : inputSet)
      inputs.push_back(kernelValues.lookup(input));
    for (Operation *anchor : group.anchors)
      for (Value result : anchor->getResults())
        if (anchor->getNumResults() > 1 || isReadOutside(result)) // attention writes all it makes
          outputs.push_back(result);

    SmallVector<Location> locs;
    for (Operation *anchor : group.anchors)
      locs.push_back(anchor->getLoc());
    Location loc = builder.getFusedLoc(locs);
    auto kernel = builder.create<lm::KernelOp>(loc, ValueRange(outputs).getTypes(), inputs,
                                               nameOf(group.family));
    Block &block = kernel.getBody().emplaceBlock();
    OpBuilder inner = OpBuilder::atBlockBegin(&block);
    for (Value input : inputSet)
      local.map(input, block.addArgument(input.getType(), input.getLoc()));
    for (Operation *anchor : group.anchors) {
      for (Value operand : anchor->getOperands())
        materialise(operand, inner);
      inner.clone(*anchor, local);
    }
    SmallVector<Value> yielded;
    for (Value output : outputs)
      yielded.push_back(local.lookup(output));
    inner.create<lm::YieldOp>(loc, yielded);
    for (auto [output, result] : llvm::zip_equal(outputs, kernel.getOutputs()))
      kernelValues.map(output, result);
    return kernel;
  }

private:
  bool isInside(Value value) const {
    Operation *op = value.getDefiningOp();
    return op && group.anchors.contains(op);
  }

  void collect(Value value) {
    if (isInside(value) || !seen.insert(value).second)
      return;
    if (fusion.isStored(value)) {
      inputSet.insert(value);
      return;
    }
    for (Value operand : value.getDefiningOp()->getOperands())
      collect(operand);
  }

  /// Clones what is recomputed.
  void materialise(Value value, OpBuilder &inner) {
    if (local.contains(value))
      return;
    Operation *op = value.getDefiningOp();
    for (Value operand : op->getOperands())
      materialise(operand, inner);
    inner.clone(*op, local);
  }

  /// Some other kernel, a view or the return reads it, maybe through recomputed values.
  bool isReadOutside(Value result) const {
    SmallVector<Value> work = {result};
    llvm::DenseSet<Value> visited;
    while (!work.empty()) {
      Value value = work.pop_back_val();
      if (!visited.insert(value).second)
        continue;
      for (Operation *user : value.getUsers()) {
        if (group.anchors.contains(user))
          continue;
        if (user->getNumResults() == 0 || fusion.isStored(user->getResult(0)))
          return true;
        llvm::append_range(work, user->getResults());
      }
    }
    return false;
  }

  const Fusion &fusion;
  const KernelGroup &group;
  IRMapping &kernelValues; // stored value -> result of the kernel that made it
  IRMapping local;
  llvm::SetVector<Value> inputSet;
  llvm::DenseSet<Value> seen;
};

struct FuseKernels : impl::FuseKernelsBase<FuseKernels> {
  using FuseKernelsBase::FuseKernelsBase;

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
      if (isOpTriviallyDead(&op)) // a kernel that stores nothing is none
        op.erase();
    Fusion fusion(function, [&](Operation *op, std::string text) {
      if (explain)
        op->emitRemark() << "'" << lm::modelPath(op->getLoc()) << "' (" << op->getName() << ") "
                         << text;
    });
    Block &body = function.getBody().front();
    Operation *terminator = body.getTerminator();
    SmallVector<Operation *> old;
    for (Operation &op : body.without_terminator())
      old.push_back(&op);

    OpBuilder builder(terminator);
    IRMapping values;
    for (BlockArgument argument : body.getArguments())
      values.map(argument, argument);
    for (const KernelGroup *group : fusion.groups()) {
      for (Operation *anchor : group->anchors)
        mapViews(anchor, fusion, values, builder);
      lm::KernelOp kernel = KernelBuilder(fusion, *group, values).build(builder);
      if (explain)
        kernel.emitRemark() << describe(kernel);
    }
    for (OpOperand &operand : terminator->getOpOperands())
      operand.set(viewed(operand.get(), fusion, values, builder));
    for (Operation *op : llvm::reverse(old))
      op->erase();
  }

private:
  /// Puts the views that an anchor reads in front of its kernel.
  void mapViews(Operation *anchor, const Fusion &fusion, IRMapping &values, OpBuilder &builder) {
    SmallVector<Value> work(anchor->getOperands());
    llvm::DenseSet<Value> seen;
    while (!work.empty()) {
      Value value = work.pop_back_val();
      if (!seen.insert(value).second)
        continue;
      if (fusion.isStored(value)) {
        if (fusion.isView(value))
          viewed(value, fusion, values, builder);
      } else {
        llvm::append_range(work, value.getDefiningOp()->getOperands());
      }
    }
  }

  Value viewed(Value value, const Fusion &fusion, IRMapping &values, OpBuilder &builder) {
    if (Value known = values.lookupOrNull(value))
      return known;
    assert(fusion.isView(value) && "kernels come in an order in which their inputs exist");
    Operation *view = value.getDefiningOp();
    for (Value operand : view->getOperands())
      viewed(operand, fusion, values, builder);
    return builder.clone(*view, values)->getResult(0);
  }

  static std::string describe(lm::KernelOp kernel) {
    std::string text =
        "kernel '" + lm::modelPath(kernel.getLoc()) + "' (" + kernel.getFamily().str() + ") of " +
        std::to_string(kernel.getBody().front().getOperations().size() - 1) + " ops stores";
    for (Value result : kernel.getOutputs())
      text += " " + lm::toString(lm::shapeOf(result));
    return text;
  }
};

} // namespace
} // namespace lmc
