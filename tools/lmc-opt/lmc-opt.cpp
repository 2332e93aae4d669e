// MLIR's driver with lmc's dialects and passes: what lit tests run.
#include "ir/Dialect.h"
#include "ir/plan/Plan.h"
#include "passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry
      .insert<lmc::lm::LMDialect, lmc::plan::PlanDialect, mlir::arith::ArithDialect,
              mlir::func::FuncDialect, mlir::LLVM::LLVMDialect, mlir::math::MathDialect,
              mlir::memref::MemRefDialect, mlir::scf::SCFDialect, mlir::vector::VectorDialect>();
  lmc::registerLmcPasses();
  mlir::registerTransformsPasses(); // canonicalize, cse, ...
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "lmc's passes on MLIR text\n", registry));
}
