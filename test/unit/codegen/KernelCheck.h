// Runs a function of the lm dialect twice, by the reference evaluator in float64 and through the
// whole compiler (passes, code generation, session), and compares every output.
#pragma once

#include "ir/GraphBuilder.h"
#include "test/unit/ir/OpCases.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace lmc::test {

/// Extents of the symbolic dimensions.
using Extents = std::map<std::string, int64_t>;

/// "f32[3,T,5]" in [-1, 1); "i32[4,5]<7": ids in [0, 7); "i1[3]".
struct ArgumentSpec {
  std::string element;
  std::vector<std::string> dims;
  int64_t below = 0;

  ArgumentSpec(const char *text);
};

struct FamilyCase {
  std::string name;
  std::vector<ArgumentSpec> arguments;
  std::function<std::vector<mlir::Value>(lm::GraphBuilder &, llvm::ArrayRef<mlir::Value>)> build;
  std::map<std::string, std::pair<int64_t, int64_t>> ranges = {};
  std::vector<Extents> runs = {{}};
  bool gradients = false; ///< compile sum(first result * weights) and its gradients as well
};

/// All cases of the kernel families.
const std::vector<FamilyCase> &familyCases();

/// The case as a module with one function; with the gradients of every f32 argument if asked for.
mlir::OwningOpRef<mlir::ModuleOp> buildModule(Context &context, const FamilyCase &family,
                                              bool gradients);

/// Appends d sum(result 0 * weights) / d argument to a function, and makes the sum its result.
void differentiate(Context &context, mlir::ModuleOp module, llvm::ArrayRef<unsigned> parameters);

/// Arguments for those extents, rounded to f32; the same in every run.
std::vector<lm::Tensor> drawArguments(const FamilyCase &family, const Extents &extents);

struct CheckOptions {
  std::string cpu = "host";
  double tolerance = 1e-5; ///< times the output's largest |expected| (at least 1 for a scalar)
  std::vector<int> threads = {1, 2, 3}; ///< must all give the same bits
  int64_t lossRows = 0;                 ///< PipelineOptions::lossRows
};

/// Compiles @f (or the only function) and compares it with the evaluator for each set of arguments.
/// Reports differences as test failures.
void checkKernels(Context &context, mlir::ModuleOp module, const std::vector<Extents> &runs,
                  const std::vector<std::vector<lm::Tensor>> &arguments,
                  const CheckOptions &options = {});

/// checkKernels of a case on drawn arguments.
void checkFamily(Context &context, const FamilyCase &family, bool gradients,
                 const CheckOptions &options = {});

/// Names of the lm ops of a module.
void collectOps(mlir::ModuleOp module, std::map<std::string, unsigned> &counts);

} // namespace lmc::test
