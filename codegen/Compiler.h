// From a planned module to an executable: one call for every back end.
#pragma once

#include "passes/Pipeline.h"
#include "runtime/Executable.h"

#include "mlir/IR/BuiltinOps.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace lmc {

/// Who computes products on a GPU.
enum class Products {
  Generated, ///< kernels of our own
  Library,   ///< cuBLASLt where it has a form for them, kernels of our own for the rest
};

/// Everything that decides what code comes out. Its hash, with the compiler's version, names the
/// result.
struct CodegenOptions {
  std::string cpu = "host"; ///< cpu::Target::named
  std::string gpu;          ///< "sm_90a": code for this GPU; empty: for the CPU
  Products products = Products::Generated;
  std::string mode = "infer"; ///< train | infer, recorded in the executable
  int jobs = 0;               ///< threads that compile; 0: as many as cores
  bool useCache = true;       ///< kernels from and to the cache folder (LMC_CACHE_DIR)
  /// In place of NVRTC: what CudaDriver::cuModuleLoadData will get for a CUDA source.
  std::function<std::string(const std::string &source)> assembleCuda;
};

/// A parameter's values, valid until the next parameter is asked for.
struct ParameterValues {
  ParameterValues(std::span<const std::byte> bytes, bool isFile = false)
      : bytes(bytes), isFile(isFile) {}

  std::span<const std::byte> bytes;
  bool isFile; ///< they are pages of a file (runtime/FilePages.h)
};

/// Values of a parameter to store in the executable, in the shape that the frontend gave it (packing is
/// this side's business), or nothing to leave it to the driver. `format` is what elements are wanted
/// in: f32; f16 or bf16, for which f32 may be given too (it is rounded to nearest even); or the lm.blocks
/// that the parameter was given: blocks of this format as GGUF has them, those of a column of the matrix
/// [depth, columns] one after the other.
using ParameterData =
    std::function<std::optional<ParameterValues>(const std::string &name, std::string_view format)>;

struct CompileReport {
  unsigned kernels = 0;        ///< different ones
  unsigned compiled = 0;       ///< made now
  unsigned cached = 0;         ///< found in the cache
  unsigned warnings = 0;       ///< of the compilers of kernels; each was emitted as a diagnostic
  bool programsCached = false; ///< no pass ran and nothing was linked
  double emitSeconds = 0, compileSeconds = 0, linkSeconds = 0;
};

/// Compiles the kernels of a planned module and packs programs, tensors and code.
/// Stored parameters are used where the file is mapped; others live in the state region. Throws
/// Error.
std::shared_ptr<const Executable>
buildExecutable(mlir::ModuleOp plan, const CodegenOptions &options,
                const std::map<std::string, std::string> &metadata, const ParameterData &parameters,
                CompileReport *report = nullptr);

/// An executable without code, launches and parameter values: its tensors, buffers and scratch are
/// those of buildExecutable, which is what memoryLedger and ArenaLayout read. Compiles nothing, so it
/// needs no NVRTC. Throws Error where a kernel cannot be lowered.
std::shared_ptr<const Executable> planExecutable(mlir::ModuleOp plan,
                                                 const CodegenOptions &options);

/// Scratch bytes that each worker needs for the kernels of a planned module: what buildExecutable
/// will reserve (MemoryLimit::scratchBytes). On a GPU, which is one worker, it is the workspace of
/// libraries: kernels have shared memory.
/// Throws Error where a kernel cannot be lowered.
int64_t workerScratchBytes(mlir::ModuleOp plan, const CodegenOptions &options);

/// From programs of the lm dialect (buildPrograms) to an executable: through runPipeline, which
/// changes the module, and buildExecutable; or, where the cache knows the same programs with the
/// same options, without either. Throws Error.
std::shared_ptr<const Executable>
compilePrograms(mlir::ModuleOp programs, const PipelineOptions &pipeline,
                const CodegenOptions &options, const std::map<std::string, std::string> &metadata,
                const ParameterData &parameters, CompileReport *report = nullptr);

/// All kernels as text for the CPU, for --emit=llvm and --emit=asm.
std::string printCode(mlir::ModuleOp plan, const CodegenOptions &options, bool assembly);

} // namespace lmc
