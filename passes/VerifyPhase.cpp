// Why:    a phase that leaves something behind should fail where it ran, not three phases later.
// Before, After: the module is only read. Numerics: exact.
// Order:  at the end of every phase of Pipeline.cpp.
#include "passes/Passes.h"

#include "ir/Dialect.h"
#include "passes/Views.h"

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_VERIFYPHASE
#include "passes/Passes.h.inc"

namespace {

bool isFunction(Operation *op) { return isa<ModuleOp, func::FuncOp, func::ReturnOp>(op); }

/// Ops that have no kernel and no decomposition of their own at this point.
bool isPrimitive(Operation *op) {
  return isa<lm::TensorOp>(op) && !isa<lm::CompositeOp, lm::KernelOp>(op);
}

bool isLegal(StringRef phase, Operation *op) {
  if (phase == "graph")
    return isFunction(op) || (isa<lm::TensorOp>(op) && !isa<lm::KernelOp>(op));
  if (phase == "primitives")
    return isFunction(op) || isPrimitive(op);
  bool inKernel = op->getParentOfType<lm::KernelOp>() || op->getParentOfType<plan::KernelOp>();
  if (inKernel)
    return isa<lm::YieldOp, plan::YieldOp>(op) || (isPrimitive(op) && !isa<lm::ReshapeOp>(op));
  if (phase == "kernels")
    return isFunction(op) || isa<lm::KernelOp>(op) || isView(op);
  return isa<ModuleOp>(op) || isa_and_nonnull<plan::PlanDialect>(op->getDialect());
}

struct VerifyPhase : impl::VerifyPhaseBase<VerifyPhase> {
  using VerifyPhaseBase::VerifyPhaseBase;

  void runOnOperation() override {
    if (!llvm::is_contained({"graph", "primitives", "kernels", "plan"}, phase)) {
      getOperation().emitError() << "unknown phase '" << phase << "'";
      return signalPassFailure();
    }
    WalkResult walk = getOperation().walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (isLegal(phase, op))
        return WalkResult::advance();
      op->emitError() << "'" << op->getName() << "' must not be left in the phase '" << phase
                      << "' (model path '" << lm::modelPath(op->getLoc()) << "')";
      return WalkResult::interrupt();
    });
    if (walk.wasInterrupted())
      signalPassFailure();
  }
};

} // namespace
} // namespace lmc
