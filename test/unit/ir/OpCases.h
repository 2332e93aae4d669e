// The cases of test/data/ir/*_cases.json (from make_cases.py) and what tests do with functions of
// the lm dialect: parse, run passes, evaluate.
#pragma once

#include "ir/Evaluator.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Pass/Pass.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lmc::test {

/// One op on given numbers. `mlir` is a function @f of `args`; data are row-major.
struct OpCase {
  std::string name, op, mlir;
  std::vector<std::vector<double>> args, results;
  std::vector<unsigned> grad;        ///< arguments that take a gradient through the first result
  std::optional<std::string> reason; ///< what the adjoint says where none does; "": nothing flows
};

const std::vector<OpCase> &opCases();

/// gtest's name of a parameterised test: letters, digits and underscores.
std::string testName(const std::string &caseName);

/// With the compiler's dialects, one thread, and the diagnostics collected in `errors`.
class Context {
public:
  Context();
  mlir::MLIRContext context;
  std::string errors; ///< one line a diagnostic

  mlir::OwningOpRef<mlir::ModuleOp> parse(const std::string &text);
  /// Runs a pass on every function or on the module, whichever it is for.
  bool run(mlir::ModuleOp module, std::unique_ptr<mlir::Pass> pass);
};

/// The first function of a module, or the one of that name.
mlir::func::FuncOp functionOf(mlir::ModuleOp module, llvm::StringRef name = "");

/// Tensors for a function's arguments.
std::vector<lm::Tensor> tensorsFor(mlir::func::FuncOp function,
                                   const std::vector<std::vector<double>> &data);

/// Evaluates; fails the running test where the evaluator does.
llvm::SmallVector<lm::Tensor> evaluated(mlir::func::FuncOp function,
                                        const std::vector<lm::Tensor> &arguments);

/// Expects |got - expected| <= tolerance * (1 + |expected|) for every element.
void expectClose(llvm::ArrayRef<lm::Tensor> got, llvm::ArrayRef<lm::Tensor> expected,
                 double tolerance, const std::string &what);

} // namespace lmc::test
