// NVIDIA's run-time compiler: CUDA C++ text to machine code, on machines with and without a GPU.
// The library is opened when it is first asked for; nothing of the toolkit is needed to build.
#pragma once

#include <string>
#include <vector>

namespace lmc::cuda {

class Nvrtc {
public:
  /// Nothing where the library is not found; `why` then says what was tried.
  static const Nvrtc *open(std::string *why = nullptr);

  /// "13.0".
  std::string version() const;

  /// Machine code for an architecture ("sm_90a"). No fused multiply-adds are made of products and
  /// sums: a value that two kernels recompute has the same bits in both, and these kernels wait for
  /// memory. Throws Error with the compiler's log. `log` receives ptxas' registers and spills.
  std::vector<char> cubin(const std::string &source, const std::string &architecture,
                          std::string *log = nullptr) const;
  /// PTX text for an architecture ("compute_90a" or "sm_90a").
  std::string ptx(const std::string &source, const std::string &architecture) const;

private:
  struct Functions;
  explicit Nvrtc(const Functions &functions) : call(functions) {}
  std::vector<char> compile(const std::string &source, std::vector<std::string> options,
                            bool binary, std::string *log) const;
  const Functions &call;
};

/// What the parameters of a kernel may take: 4096 bytes with NVRTC before 12.1, else 32764 (with drivers of
/// CUDA 12.1 and later, and all architectures here).
///   Source: CUDA C++ Programming Guide 12.1, kernel parameters.
int64_t parameterBytes();

} // namespace lmc::cuda
