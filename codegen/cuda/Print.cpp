#include "codegen/cuda/Print.h"

#include "codegen/cuda/Nvrtc.h"
#include "ir/Dialect.h"
#include "runtime/CudaDriver.h"
#include "runtime/Error.h"

#include <algorithm>
#include <regex>

using namespace mlir;

namespace lmc::cuda {
namespace {

std::string launchOf(const Kernel &kernel) {
  std::string grid;
  for (const GridFactor &factor : kernel.grid) {
    std::string product = factor.symbol.empty() ? std::to_string(factor.mul)
                          : factor.mul == 1     ? factor.symbol
                                                : fmt::format("{} * {}", factor.mul, factor.symbol);
    std::string blocks =
        factor.div == 1 ? product : fmt::format("ceil({} / {})", product, factor.div);
    grid += (grid.empty() ? "" : " * ") + blocks;
  }
  std::string shared =
      kernel.sharedBytes ? fmt::format(", shared memory {}", kernel.sharedBytes) : "";
  return fmt::format("// launch: grid {}, block {}{}\n", grid, kernel.block, shared);
}

} // namespace

const std::string &deviceLibrary() {
  static const std::string text =
#include "codegen/cuda/DeviceLibrary.inc"
      ;
  return text;
}

std::string translationUnit(ArrayRef<Kernel> kernels) {
  std::string text = deviceLibrary();
  for (const Kernel &kernel : kernels)
    text += kernel.text + "\n";
  return text;
}

std::string printCuda(ModuleOp plan, const std::string &target) {
  std::string architecture = architectureOf(target);
  Ranges ranges = rangesOf(plan);
  std::string text = deviceLibrary();
  for (auto op : plan.getOps<plan::KernelOp>()) {
    Kernel kernel = emitKernel(op, ranges, op.getSymName(), architecture);
    text += launchOf(kernel) + kernel.text + "\n";
  }
  return text;
}

std::string architectureOf(const std::string &target) {
  static const std::regex architectures("sm_[0-9]+[af]?");
  std::string architecture =
      target == "cuda" ? "sm_90a" : target.substr(std::min<size_t>(5, target.size()));
  if (!isCudaTarget(target) || !std::regex_match(architecture, architectures))
    fail("target '{}' is no GPU's; use --target cuda or, for example, cuda:sm_80", target);
  return architecture;
}

std::string printPtx(ModuleOp plan, const std::string &target) {
  std::string architecture = architectureOf(target);
  std::string why;
  const Nvrtc *compiler = Nvrtc::open(&why);
  if (!compiler)
    fail("--emit=ptx is not possible: {}; --emit=cuda works without it", why);
  return compiler->ptx(printCuda(plan, target), architecture);
}

} // namespace lmc::cuda
