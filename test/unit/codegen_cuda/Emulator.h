// Kernels of planned programs, compiled with the emulation header by the host's compiler.
#pragma once

#include "Program.h"

#include <span>

namespace lmc::test {

/// Text of kernels, compiled behind the emulation header and a device library.
class EmulatedText {
public:
  /// Throws Error with what the compiler said.
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
  /// Compiles all kernels of the programs behind `deviceLibrary`. Throws Error as EmulatedText does.
  Emulator(const std::vector<const Program *> &programs, const std::string &deviceLibrary);

  /// Runs a program's launches in the plan's memory; kernels that are not among the program's, of
  /// static shapes, are evaluated. Empty results and a reason in `fault` where a kernel breaks the
  /// rules of barriers.
  std::vector<lm::Tensor> run(const Program &program, unsigned seed, std::string &fault) const;

private:
  EmulatedText text;
};

/// All programs agree with their expectation in each of these orders, with the same bits.
void expectAgreement(const std::vector<Program> &programs, std::span<const unsigned> seeds);

/// The device library with one change.
std::string planted(const std::string &good, const std::string &bad);

/// Does one of these orders show what is wrong with the library?
bool isFound(const Program &program, const std::string &library, std::span<const unsigned> seeds);

/// The first order of threads that shows a difference, and which; empty: none.
std::string evidence(const Program &program, const Emulator &emulator);

/// A change of the device library, and the program in which some order of threads must show it.
struct Plant {
  const char *what, *good, *bad;
  const char *program;
};
/// Behind the names of the kernels of a list's i-th plant.
inline std::string plantSuffix(size_t i) { return "_" + std::to_string(i); }
/// All variants as one text, so that the emulation's own headers are compiled once.
std::string plantedText(std::map<std::string, Program> &programs, std::span<const Plant> plants);
/// All are found, and without a change nothing is.
void expectFound(std::map<std::string, Program> &programs, std::span<const Plant> list);

std::string replaced(std::string text, const std::string &good, const std::string &bad,
                     bool all = true);

/// What is wrong with a result; empty: nothing.
std::string difference(const Program &program, const std::vector<lm::Tensor> &results);

} // namespace lmc::test
