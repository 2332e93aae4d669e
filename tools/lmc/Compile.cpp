#include "tools/lmc/Commands.h"

#include "codegen/cuda/Print.h"
#include "runtime/ByteSize.h"
#include "runtime/CudaDriver.h"
#include "runtime/Error.h"
#include "runtime/Session.h"
#include "runtime/Team.h"

#include "mlir/IR/AsmState.h"
#include "llvm/Support/raw_ostream.h"

namespace lmc {
namespace {

struct Options {
  std::string spec, output, emit, mode = "infer", target = "cpu", explain, memoryLimit;
  bool plan = false;
  int64_t batch = 1, length = 0;
  CompileSettings settings;
};

void print(mlir::ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, mlir::OpPrintingFlags().elideLargeElementsAttrs(64));
  fmt::print("{}\n", text);
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
      fmt::print("  {:<10} {}  flops {}  scratch {}\n", kernel.family(), launch.path(),
                 kernel.flops(), kernel.scratch_bytes());
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
    fmt::print("{}", cuda::printCuda(*module));
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
  o.settings.programs.length = o.length;
  o.settings.programs.training = o.mode == "train";
  o.settings.programs.inference = o.mode == "infer";
  if (o.mode == "train") {
    o.settings.pipeline.train = OptimizerUpdateOptions();
    o.settings.pipeline.train->gradClip = 1;
  }
  o.settings.pipeline.explainFusion = o.explain == "fusion";
  o.settings.pipeline.explainMemory = o.explain == "memory" && !o.memoryLimit.empty();
  if (!o.memoryLimit.empty()) {
    std::optional<int64_t> bytes = parseByteSize(o.memoryLimit);
    if (!bytes)
      throw UsageError(
          fmt::format("--memory-limit: expected {}, got '{}'", kByteSizeForm, o.memoryLimit));
    if (o.mode != "train" || cuda)
      throw UsageError("--memory-limit needs --mode train and a CPU target: only a training step "
                       "has activations to recompute");
    o.settings.limitMemory(*bytes, resolveThreads(common.threads), "--memory-limit");
  }

  if (!o.emit.empty() || o.explain == "fusion") {
    showStage(o, config, cuda);
    return 0;
  }
  std::unique_ptr<Weights> weights;
  std::shared_ptr<const Tokenizer> tokenizer;
  if (!source.weights.empty()) {
    weights = std::make_unique<Weights>(config, source.weights);
    if (std::filesystem::exists(source.weights / "tokenizer.json"))
      tokenizer = loadTokenizer(source.weights.string());
  }
  auto executable = compileModel(config, o.settings, modelMetadata(config, source, tokenizer.get()),
                                 weights ? weights->data() : ParameterData());
  if (!o.explain.empty())
    explainExecutable(*executable, o.explain, resolveThreads(common.threads));
  if (o.plan)
    printLedger(memoryLedger(*executable, resolveThreads(common.threads), 1), common.json);
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
                 "cpu, cpu:NAME for another processor (x86-64-v3, znver3, aarch64), cuda (sm_90a) "
                 "or cuda:sm_80");
  app.add_option("--emit", o->emit,
                 "Print a stage: lm, grad, primitives, kernels, plan, llvm, asm, cuda, ptx")
      ->check(CLI::IsMember(
          {"lm", "grad", "primitives", "kernels", "plan", "llvm", "asm", "cuda", "ptx"}));
  app.add_option("--explain", o->explain,
                 "fusion: what was fused, which weights are not packed, and why; dispatch: "
                 "kernels; memory: offsets")
      ->check(CLI::IsMember({"fusion", "dispatch", "memory"}));
  app.add_flag("--plan", o->plan, "Print the memory ledger");
  app.add_option("--batch", o->batch, "Sequences of a training step");
  app.add_option("--length", o->length,
                 "Tokens of a training sequence (default: the model's context)");
  app.add_option("--memory-limit", o->memoryLimit,
                 "With --mode train: most bytes of the arena (2GiB, 800MB); activations are "
                 "recomputed to keep it");
  addCommon(app, common, true);
  addCompileFlags(app, o->settings);
  addPrecision(app, o->settings);
  return [o, &common] { return run(*o, common); };
}

} // namespace lmc
