#include "codegen/cuda/ResourceReport.h"

#include "codegen/Parallel.h"
#include "codegen/cuda/Nvrtc.h"
#include "codegen/cuda/Print.h"
#include "ir/Dialect.h"
#include "runtime/Error.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace lmc::cuda {
namespace {

struct Launches {
  unsigned count = 0;
  std::vector<std::string> paths;
};

llvm::StringMap<Launches> launchesOf(ModuleOp plan) {
  llvm::StringMap<Launches> launches;
  for (auto program : plan.getOps<plan::ProgramOp>())
    for (auto launch : program.getBody().getOps<plan::LaunchOp>()) {
      Launches &known = launches[launch.getKernel()];
      ++known.count;
      std::string path = lm::modelPath(launch.getLoc());
      if (!llvm::is_contained(known.paths, path))
        known.paths.push_back(std::move(path));
    }
  return launches;
}

} // namespace

std::vector<KernelReport> reportResources(ModuleOp plan, const std::string &architecture,
                                          int jobs) {
  const Gpu &gpu = gpuOf(architecture);
  std::string why;
  const Nvrtc *compiler = Nvrtc::open(&why);
  if (!compiler)
    fail("--explain=resources is not possible: {}; --emit=cuda works without it", why);
  Ranges ranges = rangesOf(plan);
  llvm::StringMap<Launches> launches = launchesOf(plan);
  std::vector<Kernel> kernels;
  std::vector<KernelReport> reports;
  for (auto op : plan.getOps<plan::KernelOp>()) {
    kernels.push_back(emitKernel(op, ranges, op.getSymName(), architecture));
    const Launches &uses = launches[op.getSymName()];
    KernelWork work(op.getBody().front(), [&](StringRef symbol) { return ranges.at(symbol); });
    reports.push_back({kernels.back().name,
                       kernels.back().family,
                       uses.paths,
                       uses.count,
                       {},
                       0,
                       work,
                       rooflineOf(gpu, work),
                       {}});
  }
  auto measure = [&](size_t i) {
    std::string log;
    std::vector<char> cubin = compiler->cubin(translationUnit(kernels[i]), architecture, &log);
    reports[i].resources = resourcesOf(kernels[i], cubin, log);
    reports[i].blocks = blocksPerMultiprocessor(gpu, reports[i].resources);
    reports[i].warnings = warningsOf(log);
  };
  forEachInParallel(jobs, kernels.size(), [&] { return measure; });
  return reports;
}

} // namespace lmc::cuda
