// Kernels of CUDA text as machine code of the host: the compiler that builds lmc, with the emulation
// header in front (codegen/cuda/device/emulation.h).
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <string>

namespace lmc::test {

class HostCompiler {
public:
  /// `flags` are added to those of all kernels. Throws Error where the compiler refuses the header.
  explicit HostCompiler(std::string flags = "");
  /// Deletes all that was made.
  ~HostCompiler();
  HostCompiler(const HostCompiler &) = delete;

  /// Makes a shared object of a device library and kernels, each of which gets its LMC_EMULATE; of the
  /// same text, the same one. Throws Error with what the compiler said. Any thread may call it.
  std::filesystem::path sharedObject(const std::string &text);

  /// The same as a program; `main` is C++ behind the kernels.
  std::filesystem::path program(const std::string &text, const std::string &main);

private:
  std::filesystem::path make(const std::string &text, const char *kind);
  void run(const std::string &arguments) const;

  std::string flags;
  std::filesystem::path folder;
  std::mutex mutex;
  std::map<std::string, std::filesystem::path> made; ///< by text
  unsigned count = 0;
};

} // namespace lmc::test
