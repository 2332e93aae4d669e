// MLIR kernels -> LLVM IR -> relocatable object -> ELF shared object in memory.
//
// Input is a module of llvm.func kernels over scf, arith, math and vector (what Emit writes). math
// ops must be ones the processor has instructions for (sqrt, fma, absf, floor, ceil, trunc,
// roundeven, copysign, integer ops) or ones that VectorMath.h writes out: anything that would
// become a call into a library is an error, because code objects have no undefined symbols.
//
// Numerics: exact. No reassociation, no contraction; the only fused operations are math.fma ops.
// Every function may be called from several threads at once, each with its own MLIRContext.
#pragma once

#include "codegen/cpu/Target.h"

#include "mlir/IR/BuiltinOps.h"

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llvm {
class LLVMContext;
class Module;
} // namespace llvm

namespace lmc::cpu {

using Bytes = std::vector<std::byte>;

/// The optimised LLVM module of a kernel module, which is left as it is. Throws Error with MLIR's
/// diagnostics where an op has no lowering.
std::unique_ptr<llvm::Module> toLLVM(mlir::ModuleOp kernels, const Target &target,
                                     llvm::LLVMContext &context);

std::string emitLLVM(mlir::ModuleOp kernels, const Target &target);     ///< --emit=llvm
std::string emitAssembly(mlir::ModuleOp kernels, const Target &target); ///< --emit=asm

/// A relocatable ELF object (position independent, no undefined symbols).
Bytes compileObject(mlir::ModuleOp kernels, const Target &target);

/// Links objects for one target into a shared object that exports their kernels. Throws Error with
/// the linker's messages (symbols defined twice, undefined symbols).
Bytes linkShared(std::span<const Bytes> objects);

/// A shared object loaded into this process, for tests and benchmarks; executables are loaded by
/// the runtime.
class LoadedCode {
public:
  explicit LoadedCode(std::span<const std::byte> sharedObject);
  ~LoadedCode();
  LoadedCode(LoadedCode &&other) noexcept : handle(other.handle) { other.handle = nullptr; }
  LoadedCode &operator=(LoadedCode &&) = delete;

  /// Address of a kernel. Throws Error where there is none of that name.
  void *find(std::string_view symbol) const;

private:
  void *handle = nullptr;
};

} // namespace lmc::cpu
