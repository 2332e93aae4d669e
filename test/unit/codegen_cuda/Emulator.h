// Kernels of planned programs, compiled with the emulation header by the host's compiler.
#pragma once

#include "Program.h"

namespace lmc::test {

class Emulator {
public:
  /// Compiles all kernels of the programs behind `deviceLibrary`. Fails the running test where the
  /// compiler does.
  Emulator(const std::vector<const Program *> &programs, const std::string &deviceLibrary);
  ~Emulator();
  Emulator(const Emulator &) = delete;

  /// Runs a program's launches in the plan's memory; kernels of families without CUDA text, of
  /// static shapes, are evaluated. Empty results and a reason in `fault` where a kernel breaks the
  /// rules of barriers.
  std::vector<lm::Tensor> run(const Program &program, unsigned seed, std::string &fault) const;

private:
  void *library = nullptr;
};

/// What is wrong with a result; empty: nothing.
std::string difference(const Program &program, const std::vector<lm::Tensor> &results);

} // namespace lmc::test
