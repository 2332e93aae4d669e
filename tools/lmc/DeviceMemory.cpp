#include "tools/lmc/DeviceMemory.h"

#include "passes/MemoryPlan.h"
#include "passes/RecomputeSearch.h"
#include "runtime/ByteSize.h"
#include "runtime/CudaDriver.h"
#include "runtime/Error.h"
#include "runtime/HostMemory.h"
#include "runtime/PagePool.h"
#include "runtime/Team.h"

#include <nlohmann/json.hpp>

#include <functional>

namespace lmc {
namespace {

uint64_t totalBytes(const std::vector<LedgerRow> &rows) {
  uint64_t total = 0;
  for (const LedgerRow &row : rows)
    total += row.bytes;
  return total;
}

/// Plans one program with some of its settings changed.
class Planner {
public:
  Planner(const ModelConfig &config, const CompileSettings &base, int threads)
      : config(config), settings(base), threads(threads) {
    settings.timePasses = false;
    settings.pipeline.dumpFolder.clear();
  }

  std::vector<LedgerRow> ledger(const CompileSettings &with, int slots) const {
    mlir::MLIRContext context;
    auto plan = planModel(context, config, with);
    return memoryLedger(*planExecutable(*plan, with.codegen), threads, slots);
  }

  const ModelConfig &config;
  CompileSettings settings;
  int threads;
};

/// Between 1 and `now`, which does not fit: the largest that does, by bisection. `bytesAt` rises
/// but for the few percent that the placement of buffers may gain or lose; what is returned fits,
/// and one more does not.
MemoryChange largestThatFits(std::string option, int64_t now, int64_t budget,
                             const std::function<uint64_t(int64_t)> &bytesAt) {
  MemoryChange change{std::move(option), now, 1, bytesAt(1), false};
  change.fits = change.bytes <= static_cast<uint64_t>(budget);
  int64_t above = now;
  while (change.fits && above - change.proposed > 1) {
    int64_t middle = change.proposed + (above - change.proposed) / 2;
    uint64_t bytes = bytesAt(middle);
    if (bytes <= static_cast<uint64_t>(budget))
      change.proposed = middle, change.bytes = bytes;
    else
      above = middle;
  }
  return change;
}

/// A plan for each program of a training step, added up.
class StepPlan {
public:
  void add(const LaunchList &list, const RecomputePlan &plan) {
    transientBytes = std::max(transientBytes, plan.transientBytes);
    added += plan.cost;
    for (const Recomputed &pick : plan.launches)
      launches += !pick.moved;
    if (!plan.launches.empty()) // evaluation, say, is no part of the step
      for (const LaunchList::Launch &launch : list.launches)
        work += LaunchCost(list, launch).total();
  }

  RecomputedStep with(int64_t otherBytes) const {
    return {static_cast<uint64_t>(transientBytes + otherBytes), launches,
            work > 0 ? added / work : 0};
  }

private:
  int64_t transientBytes = 0;
  unsigned launches = 0;
  double added = 0, work = 0;
};

/// What lm-recompute finds for a training step within `limit`; `fixed`: bytes of the arena that are
/// no activations.
MemoryRecompute searchRecompute(const Planner &planner, int64_t fixed, int64_t limit,
                                int64_t reserve) {
  CompileSettings settings = planner.settings;
  settings.pipeline.stopAfter = "fuse";
  settings.pipeline.memory.reset();
  mlir::MLIRContext context;
  auto kernels = planModel(context, planner.config, settings);
  StepPlan cheapest, smallest;
  bool fits = limit > fixed;
  for (auto function : kernels->getOps<mlir::func::FuncOp>()) {
    makeResultsWritable(function);
    LaunchList list(function);
    RecomputeSearch search(list);
    RecomputePlan least = search.smallest();
    smallest.add(list, least);
    std::optional<RecomputePlan> plan = fits ? search.within(limit - fixed) : std::nullopt;
    if (!plan && least.transientBytes <= limit - fixed)
      plan = least;
    fits &= plan.has_value();
    if (plan)
      cheapest.add(list, *plan);
  }
  MemoryRecompute result{limit, std::nullopt, smallest.with(fixed + reserve)};
  if (fits)
    result.cheapest = cheapest.with(fixed + reserve);
  return result;
}

void search(DeviceFit &fit, const Planner &planner, int slots) {
  const CompileSettings &base = planner.settings;
  int64_t budget = fit.device - fit.reserve;
  auto bytesWith = [&](const CompileSettings &settings, int atSlots) {
    return totalBytes(planner.ledger(settings, atSlots));
  };
  auto add = [&](const char *option, int64_t now, const std::function<uint64_t(int64_t)> &bytesAt) {
    if (now <= 1)
      return;
    fit.changes.push_back(largestThatFits(option, now, budget, bytesAt));
    fit.changes.back().bytes += static_cast<uint64_t>(fit.reserve);
  };
  const ModelConfig &config = planner.config;
  if (base.programs.training && config.architecture != Architecture::Ir)
    add("--batch", base.programs.batch, [&](int64_t batch) {
      CompileSettings settings = base;
      settings.programs.batch = batch;
      return bytesWith(settings, slots);
    });
  int64_t longest = base.programs.length ? base.programs.length : config.context;
  bool isPaged = base.programs.pageTokens > 0;
  if (isPaged) // whatever the lengths of sequences
    add("--kv-pool", base.programs.poolTokens ? base.programs.poolTokens : longest,
        [&](int64_t tokens) {
          CompileSettings settings = base;
          settings.programs.poolTokens = std::max(tokens, base.programs.pageTokens);
          return bytesWith(settings, slots);
        });
  else if (base.programs.inference)
    add("--slots", slots, [&](int64_t fewer) { return bytesWith(base, static_cast<int>(fewer)); });
  if (base.programs.training) {
    uint64_t activations = 0;
    for (const LedgerRow &row : fit.rows)
      activations += row.category == "activations" ? row.bytes : 0;
    int64_t fixed = static_cast<int64_t>(totalBytes(fit.rows) - activations);
    fit.recompute = searchRecompute(planner, fixed, budget, fit.reserve);
  }
  if (config.isLanguageModel() && !isPaged)
    add("--length", longest, [&](int64_t length) {
      CompileSettings settings = base;
      settings.setLength(length);
      return bytesWith(settings, slots);
    });
}

} // namespace

DeviceFit fitDevice(const ModelConfig &config, const CompileSettings &settings, int64_t device,
                    int threads, int slots) {
  DeviceFit fit;
  fit.device = device;
  fit.reserve = settings.codegen.gpu.empty() ? kCpuReserveBytes : kGpuReserveBytes;
  if (device <= fit.reserve)
    fail("--device-memory: {} leave nothing for the program: {} are reserved for {}",
         formatByteSize(device), formatByteSize(fit.reserve),
         settings.codegen.gpu.empty() ? "the process and its code"
                                      : "the driver's context, code and graphs");
  Planner planner(config, settings, threads);
  fit.rows = planner.ledger(settings, slots);
  fit.bytes = totalBytes(fit.rows) + static_cast<uint64_t>(fit.reserve);
  fit.fits = fit.bytes <= static_cast<uint64_t>(device);
  if (!fit.fits)
    search(fit, planner, slots);
  return fit;
}

void requireMemory(const LoadedModel &model, int threads, int slots) {
  if (isCudaTarget(model.executable->message().target()))
    return;
  int64_t caches = 0, others = kCpuReserveBytes, memory = hostMemoryBytes();
  for (const LedgerRow &row : memoryLedger(*model.executable, resolveThreads(threads), slots))
    (row.category == "caches" ? caches : others) += static_cast<int64_t>(row.bytes);
  if (caches + others <= memory)
    return;
  auto gib = [](int64_t bytes) { return double(bytes) / double(1 << 30); };
  auto pages = pageLayout(*model.executable);
  int64_t tokens = pages ? pages->poolTokens() : model.info.context;
  std::string needs =
      fmt::format("'{}': {:.1f} GiB are needed ({:.1f} of them for {}) and this machine has {:.1f}",
                  model.info.name, gib(caches + others), gib(caches),
                  pages ? fmt::format("a pool of {} tokens", tokens)
                        : fmt::format("the caches of {} sequences of {} tokens", slots, tokens),
                  gib(memory));
  int64_t fitting = caches > 0 && others < memory
                        ? int64_t(double(memory - others) / double(caches) * double(tokens))
                        : 0;
  if (fitting == 0)
    fail("{}; a smaller or a quantised model fits (lmc quantize)", needs);
  fail("{}; --{} {} fits", needs, pages ? "kv-pool" : "length", fitting);
}

void printFit(const DeviceFit &fit, const std::string &target) {
  printLedger(fit.rows, false);
  fmt::print("{:<18} {:>10} {:>16}\n", "reserve", "", fit.reserve);
  fmt::print("{:<18} {:>10} {:>16}  of {} on {}: {}\n", "device", "", fit.bytes, fit.device, target,
             fit.fits ? "it fits"
                      : fmt::format("{} too many", fit.bytes - static_cast<uint64_t>(fit.device)));
  for (const MemoryChange &change : fit.changes)
    fmt::print("{:<29} {:>16}  {} (instead of {})\n",
               fmt::format("{} {}", change.option, change.proposed), change.bytes,
               change.fits ? "fits" : "does not fit", change.now);
  if (!fit.recompute)
    return;
  auto line = [](const std::string &option, const RecomputedStep &step, const char *verdict) {
    fmt::print("{:<29} {:>16}  {}: {} launches run again, {:.1f} % more work a step\n", option,
               step.bytes, verdict, step.launches, 100 * step.share);
  };
  const MemoryRecompute &r = *fit.recompute;
  if (r.cheapest)
    line("--memory-limit " + formatByteSize(r.limit), *r.cheapest, "fits");
  line("most recomputing", r.smallest, r.cheapest ? "the least there is" : "does not fit");
}

nlohmann::ordered_json fitJson(const DeviceFit &fit, const std::string &target) {
  nlohmann::ordered_json device = {{"target", target},
                                   {"device_bytes", fit.device},
                                   {"reserve_bytes", fit.reserve},
                                   {"needed_bytes", fit.bytes},
                                   {"fits", fit.fits}};
  device["changes"] = nlohmann::ordered_json::array();
  for (const MemoryChange &change : fit.changes)
    device["changes"].push_back({{"option", change.option},
                                 {"value", change.proposed},
                                 {"instead_of", change.now},
                                 {"bytes", change.bytes},
                                 {"fits", change.fits}});
  if (const auto &r = fit.recompute) {
    auto step = [](const RecomputedStep &step) {
      return nlohmann::ordered_json{
          {"bytes", step.bytes}, {"launches", step.launches}, {"added_work", step.share}};
    };
    nlohmann::ordered_json change = {
        {"option", "--memory-limit"}, {"value", r->limit}, {"fits", r->cheapest.has_value()}};
    if (r->cheapest)
      change.update(step(*r->cheapest));
    change["smallest"] = step(r->smallest);
    device["changes"].push_back(change);
  }
  return device;
}

} // namespace lmc
