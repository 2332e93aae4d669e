// The machine code of an executable, loaded into this process.
#pragma once

#include "runtime/Executable.h"
#include "runtime/KernelAbi.h"

#include <vector>

namespace lmc {

/// Loads the ELF shared object of an executable from memory, with the system's own loader, so that
/// debuggers, profilers and unwinders see it like any other library.
class Code {
public:
  /// Finds every kernel. Throws Error if the code is for another processor, lacks a symbol or the
  /// loader refuses it. Keeps no reference to the executable.
  explicit Code(const Executable &executable);
  ~Code();
  Code(const Code &) = delete;
  Code &operator=(const Code &) = delete;

  /// By index into Executable.kernels.
  KernelFunction kernel(uint32_t index) const { return kernels[index]; }

private:
  void release();

  int descriptor = -1;
  void *library = nullptr;
  std::vector<KernelFunction> kernels;
};

} // namespace lmc
