#include "codegen/KernelCompiler.h"

#include "codegen/CodeCache.h"
#include "runtime/Knobs.h"
#include "runtime/Team.h"

#include "mlir/IR/AsmState.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/raw_ostream.h"

#include <atomic>
#include <exception>
#include <map>
#include <thread>

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
  llvm::DenseMap<Operation *, unsigned> number;
  for (Operation &op : kernel.getBody().front()) {
    number[&op] = number.size();
    stream << "\n";
    op.print(stream, flags);
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
  KernelTarget::Source source;
};

/// Compiles all, in any order; the first error of the list is thrown.
std::vector<codegen::CachedKernel> compileAll(std::vector<Missing> &kernels,
                                              const KernelTarget &target, int jobs) {
  std::vector<codegen::CachedKernel> results(kernels.size());
  std::vector<std::exception_ptr> errors(kernels.size());
  std::atomic<size_t> next = 0;
  auto work = [&] {
    KernelTarget::Assembler assemble = target.assembler();
    for (size_t i = next++; i < kernels.size(); i = next++) {
      try {
        results[i] = std::move(kernels[i].source.kernel);
        results[i].set_object(assemble(kernels[i].source.text));
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < std::min<int>(jobs, static_cast<int>(kernels.size())); ++i)
    threads.emplace_back(work);
  work();
  for (std::thread &thread : threads)
    thread.join();
  for (const std::exception_ptr &error : errors)
    if (error)
      std::rethrow_exception(error);
  return results;
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
        missing.push_back({hash, target.emit(kernel, symbols, entry.symbol)});
      at = known->second;
    }
    report.kernels++;
    missingAt.push_back(at);
    result.push_back(std::move(entry));
  }
  report.emitSeconds += secondsSince(start);
  start = std::chrono::steady_clock::now();
  std::vector<codegen::CachedKernel> made =
      compileAll(missing, target, resolveThreads(options.jobs));
  for (size_t i = 0; i < made.size(); ++i)
    cache.keep("kernels", missing[i].hash, made[i]);
  report.compiled += made.size();
  report.compileSeconds += secondsSince(start);
  for (size_t i = 0; i < result.size(); ++i)
    if (missingAt[i] != npos)
      result[i].code = made[missingAt[i]];
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
