#include "tools/lmc/Resources.h"

#include "tools/lmc/Commands.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>

namespace lmc {
namespace {

using Json = nlohmann::ordered_json;

/// "layers.0.attn.q_proj and 11 more (24 launches)"
std::string launchesText(const cuda::KernelReport &kernel) {
  std::string text = kernel.paths.empty() ? "not launched" : kernel.paths.front();
  if (kernel.paths.size() > 1)
    text += fmt::format(" and {} more", kernel.paths.size() - 1);
  return text + fmt::format(" ({} launch{})", kernel.launches, kernel.launches == 1 ? "" : "es");
}

/// With the names that cuobjdump prints.
std::vector<std::pair<const char *, unsigned>> named(const cuda::InstructionCounts &counts) {
  return {{"HMMA", counts.hmma}, {"HGMMA", counts.hgmma},   {"IMMA", counts.imma},
          {"LDSM", counts.ldsm}, {"LDGSTS", counts.ldgsts}, {"UTMALDG", counts.utmaldg},
          {"LDL", counts.ldl},   {"STL", counts.stl}};
}

void printHeader(const cuda::Gpu &gpu) {
  fmt::print("{} ({}): {:.4g} TB/s, {:.4g} TFLOP/s bf16 in matrix units, {:.4g} f32, {:.4g} f64 "
             "({})\n",
             gpu.name, gpu.architecture, gpu.bytesPerSecond / 1e12, gpu.matrixFlops / 1e12,
             gpu.floatFlops / 1e12, gpu.doubleFlops / 1e12, gpu.source);
  fmt::print("{:.3g} T exponentials/s: {} multiprocessors at {:.4g} GHz; each holds {} registers, "
             "{} threads, {} blocks, {} bytes of shared memory, {} of one block ({})\n",
             gpu.exponentialsPerSecond() / 1e12, gpu.multiprocessors, gpu.hertz / 1e9,
             gpu.registers, gpu.threads, gpu.blocks, gpu.sharedBytes, gpu.largestBlockSharedBytes,
             cuda::kLimitsSource);
}

void printKernel(const cuda::KernelReport &kernel) {
  const cuda::Resources &r = kernel.resources;
  std::string instructions;
  for (auto [name, count] : named(r.instructions))
    instructions += fmt::format("{}{} {}", instructions.empty() ? "" : ", ", name, count);
  fmt::print("{} {} {}: registers {}, spills {}/{}, local {}, shared {}+{}, threads {}, "
             "blocks/SM {}; {}; a launch: read {:.0f}, written {:.0f}, flops {:.0f}, "
             "exponentials {:.0f}, at least {:.3f} us ({})\n",
             kernel.symbol, kernel.family, launchesText(kernel), r.registers, r.spillStoreBytes,
             r.spillLoadBytes, r.localBytes, r.staticSharedBytes, r.dynamicSharedBytes, r.threads,
             kernel.blocks, instructions, kernel.work.bytesRead, kernel.work.bytesWritten,
             kernel.work.flops(), kernel.work.exponentials, kernel.roofline.seconds * 1e6,
             kernel.roofline.bound);
}

Json deviceJson(const cuda::Gpu &gpu) {
  return {{"name", gpu.name},
          {"architecture", gpu.architecture},
          {"source", gpu.source},
          {"bytes_per_second", gpu.bytesPerSecond},
          {"matrix_flops_per_second", gpu.matrixFlops},
          {"f32_flops_per_second", gpu.floatFlops},
          {"f64_flops_per_second", gpu.doubleFlops},
          {"exponentials_per_second", gpu.exponentialsPerSecond()},
          {"multiprocessors", gpu.multiprocessors}};
}

Json kernelJson(const cuda::KernelReport &kernel) {
  const cuda::Resources &r = kernel.resources;
  Json instructions;
  for (auto [name, count] : named(r.instructions))
    instructions[name] = count;
  return {{"kernel", kernel.symbol},
          {"family", kernel.family},
          {"paths", kernel.paths},
          {"launches", kernel.launches},
          {"registers", r.registers},
          {"spill_store_bytes", r.spillStoreBytes},
          {"spill_load_bytes", r.spillLoadBytes},
          {"local_bytes", r.localBytes},
          {"static_shared_bytes", r.staticSharedBytes},
          {"dynamic_shared_bytes", r.dynamicSharedBytes},
          {"threads", r.threads},
          {"blocks_per_multiprocessor", kernel.blocks},
          {"instructions", instructions},
          {"bytes_read", kernel.work.bytesRead},
          {"bytes_written", kernel.work.bytesWritten},
          {"flops", kernel.work.flops()},
          {"matrix_flops", kernel.work.matrixFlops},
          {"exponentials", kernel.work.exponentials},
          {"roofline_microseconds", kernel.roofline.seconds * 1e6},
          {"bound", kernel.roofline.bound},
          {"warnings", kernel.warnings}};
}

} // namespace

void printResources(const std::vector<cuda::KernelReport> &kernels, const cuda::Gpu &gpu,
                    bool json) {
  for (const cuda::KernelReport &kernel : kernels)
    for (const std::string &warning : kernel.warnings)
      fmt::print(stderr, "warning: '{}' ({}): {}\n",
                 kernel.paths.empty() ? kernel.symbol : kernel.paths.front(), kernel.family,
                 warning);
  if (json) {
    Json rows = Json::array();
    for (const cuda::KernelReport &kernel : kernels)
      rows.push_back(kernelJson(kernel));
    printJson({{"device", deviceJson(gpu)}, {"kernels", rows}}, 2);
    return;
  }
  printHeader(gpu);
  for (const cuda::KernelReport &kernel : kernels)
    printKernel(kernel);
}

} // namespace lmc
