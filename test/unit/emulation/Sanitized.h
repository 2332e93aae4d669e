// Kernels of planned programs in a process of their own that a sanitizer is built into
// (codegen/cuda/device/emulation_sanitizers.h).
#pragma once

#include "../codegen_cuda/Emulator.h"
#include "HostCompiler.h"
#include "Replay.h"

#include <functional>

namespace lmc::test {

/// What came of a run: what the process printed, and results where it ended well.
struct Outcome {
  bool ended;
  std::string said;
  std::vector<lm::Tensor> results;
};

class Sanitized {
public:
  /// `flags` for the compiler; `options` of the sanitizer, "TSAN_OPTIONS='...'". Throws Error where the
  /// compiler refuses.
  Sanitized(const std::string &flags, std::string options);

  /// Why a program built with the flags does not run here; empty: it does.
  static std::string missing(const std::string &flags);

  /// Builds a process with these kernels, behind the emulation header.
  void build(const std::string &text);

  /// A program's launches by the process that was built last, in a lazy order. `change` may alter them.
  Outcome
  run(const Program &program, const std::function<void(Replay::Launch &)> &change = [](auto &) {});

private:
  HostCompiler compiler;
  std::string options;
  std::filesystem::path process;
};

/// SanitizedPrograms.cpp: small ones of every kernel family, attention and its adjoints, products, both for
/// sm_80 and by warpgroups.
std::vector<Program> smallPrograms(Context &context);

/// All programs run without a report and agree with their expectation.
void expectClean(Sanitized &sanitized, const std::vector<Program> &programs);

/// A plant that a sanitizer reports, in these words. Where `isSilent`, results stay right in every order
/// of threads of the emulation without it.
struct ReportedPlant {
  Plant plant;
  const char *report;
  bool isSilent = false;
};
/// All are reported, and without a change nothing is.
void expectReported(Sanitized &sanitized, std::map<std::string, Program> &programs,
                    std::span<const ReportedPlant> list);

} // namespace lmc::test
