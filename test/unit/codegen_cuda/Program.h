// A function of the lm dialect, planned, with CUDA text for its kernels, inputs, and what the
// reference evaluator makes of them.
#pragma once

#include "../ir/OpCases.h"

#include "codegen/cuda/Kernel.h"
#include "passes/Passes.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lmc::test {

struct Source {
  std::string name;
  std::string mlir;                 ///< one function; lm.name and lm.role are added where absent
  llvm::StringMap<int64_t> extents; ///< of symbolic dimensions in this run
  double tolerance = 2e-5;          ///< of |got - expected| / (1 + |expected|)
  std::string architecture = "sm_80";
  std::optional<SplitAttentionOptions> splitAttention = std::nullopt; ///< of PipelineOptions
};

struct Program {
  Source source;
  mlir::OwningOpRef<mlir::ModuleOp> plan;
  std::map<std::string, cuda::Kernel> kernels; ///< by the plan's symbol
  std::vector<lm::Tensor> inputs, expected;
  std::vector<std::string> inputNames, resultNames; ///< of plan.tensor
};

/// `inputs` and `expected` are computed where they are empty. Kernels are named prefix_symbol.
Program makeProgram(Context &context, const Source &source, const std::string &prefix,
                    std::vector<std::vector<double>> inputs = {},
                    std::vector<std::vector<double>> expected = {});

/// The list of functions: maps, in-place updates, rows short and long, odd sizes, symbols.
const std::vector<Source> &sources();
/// A whole training step of each block of Graphs.h: forward, gradients, clipping and AdamW in place.
std::vector<Program> trainingSteps(Context &context);
/// A network of convolutions and pools with the gradients of its input and of all weights.
Program windowStep(Context &context);
/// Products.cpp: layouts, alignments, few rows, views, epilogues.
const std::vector<Source> &productSources();

} // namespace lmc::test
