// A model's programs on the reference evaluator.
#pragma once

#include "frontend/Weights.h"
#include "ir/Tensor.h"

#include "mlir/IR/MLIRContext.h"

#include <cstdlib>
#include <filesystem>

namespace lmc {

class ReferenceModel {
public:
  ReferenceModel(const ModelConfig &config, const ProgramOptions &options);

  const ModelConfig config;
  std::vector<ParameterSpec> specs;
  std::vector<lm::Tensor> parameters;

  /// Values around the usual ones, but large enough that every part of the graph matters.
  void randomise(uint64_t seed);
  void load(const std::filesystem::path &weights);
  /// Appends gradients to @loss and @eval.
  void differentiate();

  /// Runs a function on the parameters and `rest`; `bind` gives a symbol its number ("T=5").
  llvm::SmallVector<lm::Tensor> run(llvm::StringRef function, llvm::ArrayRef<lm::Tensor> rest,
                                    llvm::StringRef bind = "");
  /// Logits [T, V] of all tokens by @forward.
  lm::Tensor forward(llvm::ArrayRef<int> tokens);

  mlir::ModuleOp program() { return *module; }

private:
  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

/// Tokens as an i32 tensor of this shape.
lm::Tensor ids(llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<int> values);

inline std::filesystem::path sharedFolder() {
  const char *given = std::getenv("LMC_SHARED");
  return given ? std::filesystem::path(given) : std::filesystem::path("../shared");
}

/// Small models with odd, unequal sizes.
ModelConfig oddGpt2();
ModelConfig oddLlama();
ModelConfig oddMixture();
ModelConfig oddNetwork();

} // namespace lmc
