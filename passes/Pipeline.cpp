#include "passes/Pipeline.h"

#include "ir/Dialect.h"
#include "runtime/Error.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>
#include <limits>

using namespace mlir;

namespace lmc {
namespace {

struct Phase {
  std::string name;
  std::string leaves; ///< what VerifyPhase checks at its end
  /// For the module as the phase before left it.
  std::function<void(OpPassManager &, ModuleOp, const PipelineOptions &)> addPasses;
};

void addSimplify(OpPassManager &module) {
  module.addPass(createCanonicalizerPass()); // folds views, drops what nobody reads
  module.addPass(createCSEPass());           // adjoints share the forward's statistics
}

/// Of all workers. Launches that run again run the same kernels: the plan without them says it.
int64_t scratchBytes(ModuleOp kernels, const MemoryLimit &limit) {
  OwningOpRef<ModuleOp> planned = kernels.clone();
  PassManager manager(kernels.getContext());
  manager.addPass(createPlanMemory());
  if (failed(manager.run(*planned)))
    return 0; // the phase that follows reports it
  return limit.workers * limit.scratchBytes(*planned);
}

std::vector<Phase> phases() {
  return {
      {"import", "graph",
       [](OpPassManager &module, ModuleOp, const PipelineOptions &options) {
         InferShapesOptions shapes;
         shapes.bindings = options.bindings;
         module.addNestedPass<func::FuncOp>(createInferShapes(shapes));
         addSimplify(module);
       }},
      {"differentiate", "graph",
       [](OpPassManager &module, ModuleOp, const PipelineOptions &options) {
         if (!options.train)
           return;
         DifferentiateOptions differentiate;
         differentiate.seed = 1.0 / static_cast<double>(options.train->accumulate);
         module.addNestedPass<func::FuncOp>(createDifferentiate(differentiate));
         module.addPass(createOptimizerUpdate(*options.train)); // a whole step is one program
         addSimplify(module);
       }},
      {"precision", "graph",
       [](OpPassManager &module, ModuleOp, const PipelineOptions &options) {
         if (!options.bf16)
           return;
         module.addPass(createRoundProducts()); // adjoints too are there by now
         addSimplify(module);
       }},
      {"decompose", "primitives",
       [](OpPassManager &module, ModuleOp, const PipelineOptions &options) {
         FlashAttentionOptions attention;
         if (options.gpu)
           attention.items = std::numeric_limits<int64_t>::max();
         module.addNestedPass<func::FuncOp>(
             createFlashAttention(attention)); // before its composite is lost
         if (options.splitAttention) {
           SplitAttentionOptions split = *options.splitAttention;
           split.explain = options.explainFusion;
           module.addNestedPass<func::FuncOp>(createSplitAttention(split));
         }
         module.addNestedPass<func::FuncOp>(createDecompose());
         addSimplify(module);
         ChunkLossOptions chunks;
         chunks.rows = options.lossRows;
         chunks.explain = options.explainFusion;
         module.addNestedPass<func::FuncOp>(createChunkLoss(chunks)); // every loss is rows now
       }},
      {"fuse", "kernels",
       [](OpPassManager &module, ModuleOp, const PipelineOptions &options) {
         QuantizeWeightsOptions quantize;
         quantize.width = options.blockWidth;
         quantize.fileTables = !options.gpu; // a GPU's memory gets a copy of its own anyway
         module.addPass(createQuantizeWeights(quantize));
         PackWeightsOptions pack;
         pack.width = options.panelWidth;
         pack.explain = options.explainFusion;
         module.addPass(createPackWeights(pack)); // kernels are formed of the types buffers have
         module.addPass(createNarrowWeights());
         if (!options.cacheFormat.empty()) {
           NarrowCachesOptions caches;
           caches.format = options.cacheFormat;
           module.addNestedPass<func::FuncOp>(createNarrowCaches(caches));
         }
         FuseKernelsOptions fuse;
         fuse.explain = options.explainFusion;
         module.addNestedPass<func::FuncOp>(createFuseKernels(fuse));
         if (!options.gpu)
           return; // a CPU's workers go from launch to launch without a pause
         JoinKernelsOptions join;
         join.parameterBytes = options.parameterBytes;
         join.explain = options.explainFusion;
         module.addNestedPass<func::FuncOp>(createJoinKernels(join));
       }},
      {"recompute", "kernels",
       [](OpPassManager &module, ModuleOp current, const PipelineOptions &options) {
         if (!options.memory)
           return;
         RecomputeOptions recompute;
         recompute.limit = options.memory->bytes;
         recompute.scratch = scratchBytes(current, *options.memory);
         recompute.source = options.memory->source;
         recompute.explain = options.explainMemory;
         module.addPass(
             createRecompute(recompute)); // on launches: what runs again is known exactly
       }},
      {"plan", "plan",
       [](OpPassManager &module, ModuleOp, const PipelineOptions &) {
         module.addPass(createPlanMemory());
       }},
  };
}

void dump(ModuleOp module, const std::filesystem::path &folder, unsigned number,
          const std::string &name) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  std::string file = (folder / fmt::format("{:02}-{}.mlir", number, name)).string();
  llvm::raw_fd_ostream stream(file, error);
  if (error)
    fail("'{}': cannot write: {}", file, error.message());
  module.print(stream, OpPrintingFlags().elideLargeElementsAttrs(16));
}

} // namespace

std::vector<std::string> phaseNames() {
  std::vector<std::string> names;
  for (const Phase &phase : phases())
    names.push_back(phase.name);
  return names;
}

std::string canonicalOptions(const PipelineOptions &options) {
  std::string text =
      fmt::format("bind {}\n{}\ncaches {}\nloss rows {}\npanels {} {}\n{}\n",
                  llvm::join(options.bindings, " "), options.bf16 ? "bf16" : "f32",
                  options.cacheFormat.empty() ? "as products" : options.cacheFormat,
                  options.lossRows, options.panelWidth, options.blockWidth,
                  options.gpu ? fmt::format("gpu {}", options.parameterBytes) : "cpu");
  if (options.memory)
    text += fmt::format("memory {} workers {}\n", options.memory->bytes, options.memory->workers);
  if (options.splitAttention) {
    const auto &[multiprocessors, parts, chunk, explain] = *options.splitAttention;
    text += fmt::format("split attention {} {} {}\n", multiprocessors, parts, chunk);
  }
  if (!options.train)
    return text;
  // All members by name: a new one does not compile before it is part of the text.
  const auto &[lr, beta1, beta2, eps, weightDecay, gradClip, schedule, warmupSteps, minLr,
               decaySteps, steps, accumulate] = *options.train;
  return text + fmt::format("train {} {} {} {} {} {} {} {} {} {} {} {}\n", lr, beta1, beta2, eps,
                            weightDecay, gradClip, schedule, warmupSteps, minLr, decaySteps, steps,
                            accumulate);
}

void loadCompilerDialects(MLIRContext &context) {
  context.loadDialect<lm::LMDialect, plan::PlanDialect, func::FuncDialect, arith::ArithDialect,
                      math::MathDialect>();
}

void runPipeline(ModuleOp module, const PipelineOptions &options) {
  if (!options.stopAfter.empty() && !llvm::is_contained(phaseNames(), options.stopAfter))
    fail("unknown phase '{}': the phases are {}", options.stopAfter,
         llvm::join(phaseNames(), ", "));
  std::string errors;
  ScopedDiagnosticHandler handler(module.getContext(), [&](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
      return failure(); // remarks go to whoever listens
    errors += (errors.empty() ? "" : "\n") + diagnostic.str();
    return success();
  });
  unsigned number = 0;
  for (const Phase &phase : phases()) {
    auto start = std::chrono::steady_clock::now();
    PassManager manager(module.getContext());
    phase.addPasses(manager, module, options);
    VerifyPhaseOptions verify;
    verify.phase = phase.leaves;
    manager.addPass(createVerifyPhase(verify));
    if (failed(manager.run(module)))
      fail("{} (phase '{}')", errors.empty() ? "compilation failed" : errors, phase.name);
    if (!options.dumpFolder.empty())
      dump(module, options.dumpFolder, number++, phase.name);
    if (options.onPhase)
      options.onPhase(
          phase.name,
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    if (phase.name == options.stopAfter)
      return;
  }
}

} // namespace lmc
