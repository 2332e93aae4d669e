// Kernels of planned programs, compiled with the emulation header by the host's compiler.
#pragma once

#include "Program.h"

namespace lmc::test {

/// Text of kernels, each followed by LMC_EMULATE(name), compiled behind the emulation header and a
/// device library.
class EmulatedText {
public:
  /// Fails the running test where the compiler does.
  EmulatedText(const std::string &deviceLibrary, const std::string &kernels);
  ~EmulatedText();
  EmulatedText(const EmulatedText &) = delete;

  /// Launches a kernel; returns what went wrong, or "".
  std::string launch(const std::string &kernel, unsigned grid, unsigned block, unsigned shared,
                     unsigned seed, void **parameters) const;

private:
  void *library = nullptr;
};

class Emulator {
public:
  /// Compiles all kernels of the programs behind `deviceLibrary`. Fails the running test where the
  /// compiler does.
  Emulator(const std::vector<const Program *> &programs, const std::string &deviceLibrary);

  /// Runs a program's launches in the plan's memory; kernels that are not among the program's, of
  /// static shapes, are evaluated. Empty results and a reason in `fault` where a kernel breaks the
  /// rules of barriers.
  std::vector<lm::Tensor> run(const Program &program, unsigned seed, std::string &fault) const;

private:
  EmulatedText text;
};

/// What is wrong with a result; empty: nothing.
std::string difference(const Program &program, const std::vector<lm::Tensor> &results);

} // namespace lmc::test
