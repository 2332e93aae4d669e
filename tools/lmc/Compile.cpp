#include "tools/lmc/DeviceMemory.h"
#include "tools/lmc/ProductReport.h"
#include "tools/lmc/Resources.h"

#include "codegen/cuda/Print.h"
#include "codegen/cuda/ResourceReport.h"
#include "frontend/gguf/GgufModel.h"
#include "runtime/ByteSize.h"
#include "runtime/CudaDriver.h"
#include "runtime/Error.h"
#include "runtime/Session.h"
#include "runtime/Team.h"

#include "mlir/IR/AsmState.h"
#include "llvm/Support/raw_ostream.h"

#include <nlohmann/json.hpp>

namespace lmc {
namespace {

struct Options {
  std::string spec, output, emit, mode = "infer", target = "cpu", explain, memoryLimit,
                                  deviceMemory;
  bool plan = false;
  int64_t batch = 1, length = 0;
  int slots = 1;
  double dropout = 0;
  CompileSettings settings;
};

void print(mlir::ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, mlir::OpPrintingFlags().elideLargeElementsAttrs(64));
  fmt::print("{}\n", text);
}

/// --plan: memory, and who computes products where a library was asked for.
void printPlan(const Executable &executable, const std::vector<LedgerRow> &rows, bool json) {
  ProductCounts products = countProducts(executable.message());
  if (!json) {
    printLedger(rows, false);
    printProducts(products);
    return;
  }
  nlohmann::ordered_json whole = ledgerJson(rows);
  if (products.any())
    whole["products"] = productsJson(products);
  printJson(whole, 2);
}

/// --explain=dispatch and =memory, after planning.
void explainExecutable(const Executable &executable, const std::string &what, int threads) {
  const auto &message = executable.message();
  if (what == "memory") {
    for (const auto &program : message.programs()) {
      fmt::print("program {}: transient region {} bytes\n", program.name(),
                 program.transient_bytes());
      for (const auto &buffer : program.buffers())
        if (buffer.segment() == executable::Buffer::TRANSIENT)
          fmt::print("  [{:>12}, +{:>12})  {}\n", buffer.offset(), buffer.bytes(), buffer.path());
    }
    printLedger(memoryLedger(executable, threads, 1), false);
    return;
  }
  for (const auto &program : message.programs()) {
    fmt::print("program {}: {} launches\n", program.name(), program.launches_size());
    for (const auto &launch : program.launches()) {
      const auto &kernel = message.kernels(static_cast<int>(launch.kernel()));
      fmt::print("  {:<10} {}  flops {}  scratch {}{}\n", kernel.family(), launch.path(),
                 kernel.flops(), kernel.scratch_bytes(), productNote(kernel));
    }
  }
}

/// --emit and --explain=fusion: what the passes make and say.
void showStage(Options &o, const ModelConfig &config, bool cuda) {
  mlir::MLIRContext context;
  PrintedRemarks remarks(context);
  if (o.emit == "lm")
    o.settings.pipeline.stopAfter = "import";
  else if (o.emit == "grad")
    o.settings.pipeline.stopAfter = "differentiate";
  else if (o.emit == "primitives")
    o.settings.pipeline.stopAfter = "decompose";
  else if (o.emit == "kernels")
    o.settings.pipeline.stopAfter = "fuse";
  mlir::OwningOpRef<mlir::ModuleOp> module = planModel(context, config, o.settings);
  if (o.emit.empty())
    return;
  if (o.emit == "cuda")
    fmt::print("{}", cuda::printCuda(*module, cuda ? o.target : "cuda"));
  else if (o.emit == "ptx")
    fmt::print("{}", cuda::printPtx(*module, cuda ? o.target : "cuda"));
  else if (cuda && (o.emit == "llvm" || o.emit == "asm"))
    fail("--emit={} shows code for the CPU; use --emit=cuda or ptx with --target {}", o.emit,
         o.target);
  else if (o.emit == "llvm" || o.emit == "asm")
    fmt::print("{}", printCode(*module, o.settings.codegen, o.emit == "asm"));
  else
    print(*module);
}

/// --explain=resources: the kernels are compiled anew, since only NVRTC's log tells of spills.
void explainResources(const Options &o, const ModelConfig &config, const CommonOptions &common) {
  const std::string &architecture = o.settings.codegen.gpu;
  if (architecture.empty())
    throw UsageError(fmt::format("--explain=resources tells of kernels for a GPU; give --target "
                                 "cuda:sm_80, cuda:sm_90a or cuda:sm_100 instead of {}",
                                 o.target));
  const cuda::Gpu &gpu = cuda::gpuOf(architecture);
  mlir::MLIRContext context;
  PrintedRemarks remarks(context);
  mlir::OwningOpRef<mlir::ModuleOp> plan = planModel(context, config, o.settings);
  printResources(cuda::reportResources(*plan, architecture, resolveThreads(common.threads)), gpu,
                 common.json);
}

/// Throws UsageError where the text is no size.
int64_t byteSize(std::string_view option, const std::string &text) {
  std::optional<int64_t> bytes = parseByteSize(text);
  if (!bytes)
    throw UsageError(fmt::format("{}: expected {}, got '{}'", option, kByteSizeForm, text));
  return *bytes;
}

/// --device-memory: prints the plan and what would make it fit. Throws Error where it does not.
void provePlanFits(const Options &o, const ModelConfig &config, const CommonOptions &common,
                   int64_t device) {
  DeviceFit fit = fitDevice(config, o.settings, device, resolveThreads(common.threads), o.slots);
  if (common.json) {
    nlohmann::ordered_json json = ledgerJson(fit.rows);
    json["device"] = fitJson(fit, o.target);
    printJson(json, 2);
  } else {
    printFit(fit, o.target);
  }
  if (fit.fits)
    return;
  bool any = fit.recompute && fit.recompute->cheapest;
  for (const MemoryChange &change : fit.changes)
    any |= change.fits;
  fail("the program takes {} bytes of {} on {}, {} too many; {}", fit.bytes, fit.device, o.target,
       fit.bytes - static_cast<uint64_t>(fit.device),
       any ? "each change above that fits is enough by itself"
           : "no single change of batch, recomputing, slots or length makes it fit: take a larger "
             "device, a smaller model, or several changes");
}

int run(Options &o, const CommonOptions &common) {
  bool cuda = isCudaTarget(o.target);
  bool showsCuda = o.emit == "cuda" || o.emit == "ptx";
  chooseTarget(o.settings.codegen, showsCuda && !cuda ? "cuda" : o.target, false);
  ModelSource source = findModel(o.spec);
  if (source.isExecutable)
    fail("'{}' is compiled already; `lmc inspect` shows what is in it", o.spec);
  ModelConfig config = readModelConfig(source.config);
  o.settings.codegen.mode = o.mode;
  o.settings.programs.batch = o.batch;
  o.settings.setLength(o.length);
  o.settings.programs.training = o.mode == "train";
  o.settings.programs.inference = o.mode == "infer";
  if (o.dropout > 0 && o.mode != "train")
    throw UsageError("--dropout needs --mode train: only a training step drops anything");
  o.settings.programs.dropout = {o.dropout, o.dropout};
  if (o.mode == "train") {
    o.settings.pipeline.train = OptimizerUpdateOptions();
    o.settings.pipeline.train->gradClip = 1;
  }
  o.settings.pipeline.explainFusion = o.explain == "fusion";
  o.settings.pipeline.explainMemory = o.explain == "memory" && !o.memoryLimit.empty();
  if (!o.memoryLimit.empty()) {
    int64_t bytes = byteSize("--memory-limit", o.memoryLimit);
    if (o.mode != "train")
      throw UsageError("--memory-limit needs --mode train: only a training step has activations to "
                       "recompute");
    o.settings.limitMemory(bytes, resolveThreads(common.threads), "--memory-limit");
  }
  std::optional<int64_t> device;
  if (!o.deviceMemory.empty()) {
    device = byteSize("--device-memory", o.deviceMemory);
    if (!o.plan)
      throw UsageError("--device-memory needs --plan, which it is held against");
  }

  std::unique_ptr<Weights> weights;
  if (!source.weights.empty()) {
    weights = std::make_unique<Weights>(config, source.weights);
    if (o.mode == "infer")
      o.settings.keepStored(*weights, source.weights);
  }
  if (!o.emit.empty() || o.explain == "fusion") {
    showStage(o, config, cuda);
    return 0;
  }
  if (device) {
    provePlanFits(o, config, common, *device);
    if (o.output.empty() && o.explain.empty())
      return 0;
  }
  if (o.explain == "resources") {
    explainResources(o, config, common);
    if (o.output.empty() && !o.plan)
      return 0;
  }
  std::shared_ptr<const Tokenizer> tokenizer;
  if (weights) {
    std::string why;
    tokenizer = modelTokenizer(source.weights, &why);
    if (!tokenizer && isGguf(source.weights))
      fmt::print(stderr, "warning: '{}': {}; the executable has no tokenizer\n",
                 source.weights.string(), why);
  }
  auto executable = compileModel(config, o.settings, modelMetadata(config, source, tokenizer.get()),
                                 weights ? weights->data() : ParameterData());
  if (o.explain == "dispatch" || o.explain == "memory")
    explainExecutable(*executable, o.explain, resolveThreads(common.threads));
  if (o.plan && !device)
    printPlan(*executable, memoryLedger(*executable, resolveThreads(common.threads), o.slots),
              common.json);
  if (!o.output.empty())
    executable->save(o.output);
  else if (!o.plan && o.explain.empty() && !o.settings.timePasses)
    throw UsageError("nothing to do: give -o OUT.lmx, --emit, --plan or --explain");
  return 0;
}

} // namespace

Command addCompile(CLI::App &app, CommonOptions &common) {
  auto o = std::make_shared<Options>();
  app.add_option("SPEC", o->spec, "Model spec (.yaml), model folder or .mlir file")->required();
  app.add_option("-o,--output", o->output, "Where to write the executable (.lmx)");
  app.add_option("--mode", o->mode, "train: a training step; infer: forward, prefill and decode")
      ->check(CLI::IsMember({"train", "infer"}));
  app.add_option("--target", o->target,
                 "cpu, cpu:NAME for another processor (x86-64-v3, znver3, aarch64), cuda (sm_90a), "
                 "cuda:sm_80 or cuda:sm_100");
  app.add_option("--emit", o->emit,
                 "Print a stage: lm, grad, primitives, kernels, plan, llvm, asm, cuda, ptx")
      ->check(CLI::IsMember(
          {"lm", "grad", "primitives", "kernels", "plan", "llvm", "asm", "cuda", "ptx"}));
  app.add_option("--explain", o->explain,
                 "fusion: what was fused, which weights are not packed, and why; dispatch: "
                 "kernels; memory: offsets; resources: registers, spills, shared memory, "
                 "instructions and roofline time of each kernel for a GPU (needs NVRTC)")
      ->check(CLI::IsMember({"fusion", "dispatch", "memory", "resources"}));
  app.add_flag("--plan", o->plan, "Print the memory ledger");
  app.add_option("--device-memory", o->deviceMemory,
                 "With --plan: bytes of the GPU, or of this machine for a CPU (80GiB). Fails where "
                 "the program takes more, and says which smaller --batch, --length or --slots, or "
                 "which --memory-limit, fits");
  app.add_option("--slots", o->slots, "With --plan: sequences that are generated side by side")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--batch", o->batch, "Sequences of a training step");
  app.add_option("--length", o->length,
                 "Tokens of a training sequence; of inference, the most that a sequence may have "
                 "(default: the model's context)");
  app.add_option("--dropout", o->dropout,
                 "With --mode train: share of embeddings and of what blocks add to the residual "
                 "stream that is set to zero")
      ->check(CLI::Range(0.0, 0.99));
  app.add_option("--memory-limit", o->memoryLimit,
                 "With --mode train: most bytes of the arena (2GiB, 800MB); activations are "
                 "recomputed to keep it");
  addCommon(app, common, true);
  addCompileFlags(app, o->settings);
  addPrecision(app, o->settings);
  addCache(app, o->settings);
  addPages(app, o->settings);
  return [o, &common] { return run(*o, common); };
}

} // namespace lmc
