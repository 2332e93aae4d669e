#include "codegen/KernelCompiler.h"

#include "codegen/CodeCache.h"
#include "codegen/Parallel.h"
#include "runtime/Knobs.h"
#include "runtime/Team.h"

#include "mlir/IR/AsmState.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/raw_ostream.h"

#include <map>

using namespace mlir;

namespace lmc {

const char *const kCompilerVersion = "lmc 0.1.0 llvm " LLVM_VERSION_STRING " sources "
#include "codegen/SourcesHash.inc"
    ;

namespace {

/// The kernel's region without names and places, and what else its code depends on.
std::string kernelText(plan::KernelOp kernel, const Symbols &symbols, const KernelTarget &target) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << kCompilerVersion << "\n" << target.identity() << "\n" << kernel.getFamily() << "\n";
  for (const auto &symbol : symbols)
    stream << symbol.getKey() << "=" << symbol.second.dim << "/" << symbol.second.max << " ";
  OpPrintingFlags flags;
  flags.useLocalScope().enableDebugInfo(false);
  for (BlockArgument argument : kernel.getBody().front().getArguments())
    stream << argument.getType() << ",";
  if (DenseI64ArrayAttr segments = kernel.getSegmentsAttr())
    stream << segments << "\n";
  llvm::DenseMap<Operation *, unsigned> number;
  AsmState state(kernel, flags); // numbers values once, not for each op
  for (Operation &op : kernel.getBody().front()) {
    number[&op] = number.size();
    stream << "\n";
    op.print(stream, state);
    for (Value operand : op.getOperands()) { // printed op by op, names alone would not say which
      if (auto argument = dyn_cast<BlockArgument>(operand))
        stream << " a" << argument.getArgNumber();
      else
        stream << " r" << number.at(operand.getDefiningOp()) << "."
               << cast<OpResult>(operand).getResultNumber();
    }
  }
  return text;
}

/// A kernel that is not in the cache.
struct Missing {
  std::string hash;
  plan::KernelOp kernel;
  KernelTarget::Source source;
  std::vector<std::string> warnings;
};

/// Compiles all, in any order.
void compileAll(std::vector<Missing> &kernels, const KernelTarget &target, int jobs) {
  forEachInParallel(jobs, kernels.size(), [&]() -> std::function<void(size_t)> {
    return [&kernels, assemble = target.assembler()](size_t i) {
      KernelTarget::Assembled made = assemble(kernels[i].source.text);
      kernels[i].source.kernel.set_object(std::move(made.object));
      kernels[i].warnings = std::move(made.warnings);
    };
  });
}

} // namespace

std::vector<CompiledKernel> compileKernels(ModuleOp plan, const Symbols &symbols,
                                           const KernelTarget &target,
                                           const CodegenOptions &options, CompileReport &report) {
  CodeCache cache(options.useCache ? knobs::cacheFolder() : std::nullopt);
  std::vector<CompiledKernel> result;
  std::vector<Missing> missing;
  std::vector<size_t> missingAt; // for each kernel: index in `missing`, or npos
  std::map<std::string, size_t> missingByHash;
  constexpr size_t npos = -1;
  auto start = std::chrono::steady_clock::now();
  for (auto kernel : plan.getOps<plan::KernelOp>()) {
    std::string hash = contentHash(kernelText(kernel, symbols, target));
    CompiledKernel entry{"lmc_" + kernel.getFamily().str() + "_" + hash, {}};
    size_t at = npos;
    if (cache.find("kernels", hash, entry.code)) {
      report.cached++;
    } else {
      auto [known, isNew] = missingByHash.try_emplace(hash, missing.size());
      if (isNew)
        missing.push_back({hash, kernel, target.emit(kernel, symbols, entry.symbol), {}});
      at = known->second;
    }
    report.kernels++;
    missingAt.push_back(at);
    result.push_back(std::move(entry));
  }
  report.emitSeconds += secondsSince(start);
  start = std::chrono::steady_clock::now();
  compileAll(missing, target, resolveThreads(options.jobs));
  for (Missing &made : missing) {
    for (const std::string &warning : made.warnings)
      mlir::emitWarning(made.kernel.getLoc()) << "kernel of " << target.canonical() << " ("
                                              << made.kernel.getFamily() << "): " << warning;
    report.warnings += made.warnings.size();
    // Found in the cache, it would not warn again.
    if (made.warnings.empty())
      cache.keep("kernels", made.hash, made.source.kernel);
  }
  report.compiled += missing.size();
  report.compileSeconds += secondsSince(start);
  for (size_t i = 0; i < result.size(); ++i)
    if (missingAt[i] != npos)
      result[i].code = missing[missingAt[i]].source.kernel;
  return result;
}

int64_t largestScratch(ModuleOp plan, const Symbols &symbols, const KernelTarget &target,
                       const CodegenOptions &options) {
  CodeCache cache(options.useCache ? knobs::cacheFolder() : std::nullopt);
  int64_t largest = 0;
  for (auto kernel : plan.getOps<plan::KernelOp>()) {
    codegen::CachedKernel known;
    if (cache.find("kernels", contentHash(kernelText(kernel, symbols, target)), known)) {
      largest = std::max<int64_t>(largest, known.scratch_bytes());
      continue;
    }
    KernelTarget::Source source = target.emit(kernel, symbols, kernel.getSymName());
    largest = std::max<int64_t>(largest, source.kernel.scratch_bytes());
  }
  return largest;
}

} // namespace lmc
