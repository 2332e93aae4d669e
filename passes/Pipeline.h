// The compiler's phases in their only order, and what can be asked of them.
#pragma once

#include "passes/Passes.h"

#include "mlir/IR/BuiltinOps.h"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace lmc {

/// The most that the arena of one run may take: state, slots, transient region and scratch.
struct MemoryLimit {
  int64_t bytes = 0;
  int workers = 1;    ///< each has scratch of its own
  std::string source; ///< what set the limit, for errors: "train.yaml:9: memory.limit"
  /// Scratch bytes of one worker for a planned module: the code generator's to know.
  std::function<int64_t(mlir::ModuleOp)> scratchBytes;
};

struct PipelineOptions {
  std::vector<std::string> bindings;           ///< "T=64": symbols that become numbers
  std::optional<OptimizerUpdateOptions> train; ///< differentiate @loss and append the update
  std::optional<MemoryLimit> memory;           ///< recompute activations to stay within
  std::string cacheFormat; ///< of f32 caches, f16 or q8_0 (lm-narrow-caches); empty: f32
  bool bf16 = false;       ///< products read and keep bf16 (lm-round-products)
  int64_t lossRows = 0;    ///< rows of a chunk of logits; 0: chosen from the shapes
  int64_t panelWidth = 0;  ///< columns of packed weights; 0: as they are
  int64_t blockWidth = 0;  ///< columns of block-quantised panels; 0: expanded to f32
  bool gpu = false; ///< attention's adjoint has work items for a GPU, small launches are joined
  int64_t parameterBytes = 32764; ///< that a GPU's launch may have (lm-join-kernels)
  std::optional<SplitAttentionOptions> splitAttention; ///< over long caches; for GPUs alone
  bool explainFusion = false;                          ///< remarks
  bool explainMemory = false;                          ///< remarks: what is recomputed and why
  std::string stopAfter;            ///< name of the last phase to run; empty: all
  std::filesystem::path dumpFolder; ///< the module after each phase, numbered; empty: none
  /// Called with each phase's name and seconds.
  std::function<void(const std::string &, double)> onPhase;
};

/// The options that change what the pipeline makes, as text: equal exactly where those are equal.
std::string canonicalOptions(const PipelineOptions &options);

/// import, differentiate, precision, decompose, fuse, recompute, plan: in order.
std::vector<std::string> phaseNames();

/// Loads the dialects that the phases need.
void loadCompilerDialects(mlir::MLIRContext &context);

/// Runs the phases on a module of programs. Throws Error with the diagnostics of the pass that
/// failed.
void runPipeline(mlir::ModuleOp module, const PipelineOptions &options);

} // namespace lmc
