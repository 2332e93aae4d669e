// What a target makes of planned kernels: the CPU through LLVM (CpuTarget.cpp), NVIDIA's GPUs through
// NVRTC (CudaTarget.cpp). Everything else about an executable is the same for all of them.
#pragma once

#include "codegen/Cache.pb.h"
#include "codegen/Compiler.h"
#include "codegen/KernelBody.h"
#include "ir/plan/Plan.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace lmc {

class KernelTarget {
public:
  virtual ~KernelTarget() = default;

  /// As Executable.target: "cpu:x86_64:cascadelake:+avx2,...", "cuda:sm_90a".
  virtual std::string canonical() const = 0;
  /// Names everything that decides what code a kernel becomes, besides the compiler's own version.
  virtual std::string identity() const { return canonical(); }

  /// A kernel as text, and all of it but the object.
  struct Source {
    std::string text;
    codegen::CachedKernel kernel;
  };
  /// Throws Error where the target cannot compute the kernel.
  virtual Source emit(plan::KernelOp kernel, const Symbols &symbols,
                      llvm::StringRef symbol) const = 0;

  /// An object, and what its compiler warned of while it made it: a line each.
  struct Assembled {
    std::string object;
    std::vector<std::string> warnings;
  };
  /// Makes an object of a text. Throws Error with what the compiler said.
  using Assembler = std::function<Assembled(const std::string &text)>;
  /// Each thread asks for its own.
  virtual Assembler assembler() const = 0;

  /// A kernel's object, and its entry in the executable where the linker notes what it needs to.
  struct Linked {
    const std::string *object;
    executable::Kernel *kernel;
  };
  /// The code section. Kernels with the same symbol have the same object.
  virtual std::vector<std::byte> link(const std::vector<Linked> &kernels) const = 0;
};

std::unique_ptr<KernelTarget> makeCpuTarget(const CodegenOptions &options);
/// Throws Error for an architecture that is none, and where NVRTC is missing.
std::unique_ptr<KernelTarget> makeCudaTarget(const CodegenOptions &options);
/// Bytes that cuBLASLt gets to work in, 0 where it computes nothing of the plan. Needs no NVRTC.
int64_t libraryScratchBytes(mlir::ModuleOp plan, const CodegenOptions &options);

inline std::unique_ptr<KernelTarget> makeTarget(const CodegenOptions &options) {
  return options.gpu.empty() ? makeCpuTarget(options) : makeCudaTarget(options);
}

} // namespace lmc
