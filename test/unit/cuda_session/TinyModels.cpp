#include "TinyModels.h"

#include "EmulatedDriver.h"

#include "codegen/cpu/Target.h"
#include "codegen/cuda/Blocks.h"
#include "ir/ProgramAttributes.h"
#include "runtime/Philox.h"
#include "runtime/Sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace lmc::test {

ModelConfig tiny(Architecture architecture) {
  ModelConfig c;
  c.architecture = architecture;
  c.layers = 2;
  c.heads = 4;
  c.kvHeads = architecture == Architecture::Llama ? 2 : 4;
  c.width = 24;
  c.ffnWidth = architecture == Architecture::Llama ? 40 : 96;
  c.headDim = 6;
  c.vocab = 61;
  c.context = 16;
  return c;
}

namespace {

bool isMatrix(const std::vector<ParameterSpec> &parameters, const std::string &name) {
  auto known = std::ranges::find(parameters, name, &ParameterSpec::name);
  return known != parameters.end() && known->shape.size() == 2;
}

} // namespace

std::shared_ptr<const Executable> compile(const Built &built, bool gpu) {
  mlir::MLIRContext context;
  loadCompilerDialects(context);
  auto module = buildPrograms(context, built.config, built.programs);
  std::vector<ParameterSpec> parameters = parametersOf(built.config);
  const TensorFormat &format = formatOf(built.blocks);
  if (format.isQuantised())
    for (auto function : module->getOps<mlir::func::FuncOp>())
      for (unsigned i = 0; i < function.getNumArguments(); ++i)
        if (auto name = function.getArgAttrOfType<mlir::StringAttr>(i, kName);
            name && isMatrix(parameters, name.getValue().str()))
          function.setArgAttr(
              i, kBlocks, mlir::StringAttr::get(&context, llvm::StringRef(format.name).lower()));
  PipelineOptions pipeline;
  CodegenOptions codegen;
  codegen.useCache = false;
  pipeline.gpu = gpu;
  pipeline.parameterBytes = built.parameterBytes;
  pipeline.blockWidth = gpu ? cuda::kBlockWidth : cpu::Target::host().lanes(32);
  pipeline.bf16 = built.bf16;
  if (gpu)
    pipeline.splitAttention = built.splitAttention;
  if (built.programs.training) {
    codegen.mode = "train";
    pipeline.train = OptimizerUpdateOptions();
    pipeline.train->gradClip = 1;
    pipeline.train->accumulate = built.accumulate;
  }
  if (gpu) {
    codegen.gpu = "sm_90a";
    codegen.assembleCuda = assembleForHost;
    codegen.products = built.library ? Products::Library : Products::Generated;
  }
  std::vector<float> values;
  std::vector<std::byte> blocks;
  auto valuesOf = [&](const std::string &name,
                      std::string_view wanted) -> std::optional<std::span<const std::byte>> {
    auto parameter = std::ranges::find(parameters, name, &ParameterSpec::name);
    values.resize(std::accumulate(parameter->shape.begin(), parameter->shape.end(), int64_t(1),
                                  std::multiplies<>()));
    initialiseParameter(*parameter, 1, values);
    if (parameter->shape.size() == 1)
      for (size_t i = 0; i < values.size(); ++i)
        values[i] += 0.05f * static_cast<float>(static_cast<int>(i % 7) - 3);
    if (wanted == "f32" || wanted == "bf16")
      return std::as_bytes(std::span(values));
    int64_t count = static_cast<int64_t>(values.size()) / format.blockElements;
    blocks.resize(static_cast<size_t>(count * format.blockBytes));
    format.quantise(values.data(), count, blocks.data());
    return blocks;
  };
  return compilePrograms(*module, pipeline, codegen, {}, valuesOf);
}

std::unique_ptr<Session> session(std::shared_ptr<const Executable> executable,
                                 const CublasLt *library) {
  SessionOptions options{2, 2};
  options.cuda = &emulatedDriver();
  options.cublasLt = library;
  return std::make_unique<Session>(std::move(executable), options);
}

std::unique_ptr<Session> session(const Built &built, bool gpu) {
  return session(compile(built, gpu), built.library);
}

void fillIds(Session &to, const std::string &name, int64_t vocab, int seed) {
  int64_t i = 0;
  for (int32_t &id : to.i32(name))
    id = static_cast<int32_t>((7 * i + 3 * seed + i * i) % vocab), ++i;
}

double relative(double a, double b) { return std::fabs(a - b) / std::max(1e-12, std::fabs(b)); }

double relative(std::span<const float> got, std::span<const float> expected) {
  double most = 0, scale = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    most = std::max<double>(most, std::fabs(got[i] - expected[i]));
    scale = std::max<double>(scale, std::fabs(expected[i]));
  }
  return most / std::max(scale, 1e-12);
}

void compareTraining(const Built &model, double tolerance, const Dropout &dropout) {
  Built built = model;
  built.programs.batch = 3;
  built.programs.length = 11;
  built.programs.inference = false;
  built.programs.dropout = dropout;
  auto cpu = session(built, false), gpu = session(built, true);
  for (int step = 0; step < 3; ++step) {
    setEmulatedOrder(static_cast<unsigned>(step));
    for (Session *each : {cpu.get(), gpu.get()}) {
      fillIds(*each, "tokens", built.config.vocab, step);
      fillIds(*each, "targets", built.config.vocab, step + 1);
      if (dropout.any()) {
        each->i32("random.key0")[0] = -9;
        each->i32("random.key1")[0] = 4;
        each->i32("random.step")[0] = step;
      }
      each->run("train_step");
    }
    EXPECT_LT(relative(gpu->f32("loss")[0], cpu->f32("loss")[0]), tolerance) << step;
    EXPECT_LT(relative(gpu->f32("grad_norm")[0], cpu->f32("grad_norm")[0]), tolerance) << step;
  }
  // First moments are sums of gradients: all gradients agree where these do.
  for (const ParameterSpec &parameter : parametersOf(built.config))
    EXPECT_LT(
        relative(gpu->f32("adamw.m." + parameter.name), cpu->f32("adamw.m." + parameter.name)),
        tolerance)
        << parameter.name;
}

/// Inputs of a program that draws.
static void ask(Session &session, const Draw &draw, int32_t count) {
  session.f32(kSampleTemperature)[0] = draw.temperature;
  session.i32(kSampleTopK)[0] = draw.topK;
  session.f32(kSampleTopP)[0] = draw.topP;
  session.i32(kSampleCount)[0] = count;
  session.i32(kSampleBits)[0] = static_cast<int32_t>(draw.bits);
  session.i32(kSampleBits)[1] = static_cast<int32_t>(draw.bits >> 32);
}

void compareTokens(Built built, const std::array<int, 2> &past) {
  built.programs.training = false;
  built.programs.chunk = 8;
  built.programs.cacheLength = built.config.context;
  auto cpu = session(built, false), gpu = session(built, true);
  std::vector<int32_t> prompt = {5, 17, 3, 60, 8};
  // Caches of one slot do not touch the other's, and launch by launch is as a whole: the last round
  // replays graphs of the first one while the launches by themselves were those of slot 0.
  for (int slot : {1, 0, 1}) {
    std::vector<int32_t> told[2];
    for (Session *each : {cpu.get(), gpu.get()}) {
      std::vector<int32_t> &tokens = told[each == gpu.get()];
      std::ranges::copy(prompt, each->i32("tokens").begin());
      each->i32("past")[0] = past[slot];
      each->i32("last")[0] = static_cast<int32_t>(prompt.size()) - 1;
      each->setProfiling(false);
      auto dims = each->dimsWith("chunk", static_cast<int64_t>(prompt.size()));
      each->run("prefill", dims, slot);
      for (int i = 0; i < 10; ++i) {
        std::span<float> logits = each->f32("logits").first(built.config.vocab);
        tokens.push_back(static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin()));
        each->i32("tokens")[0] = tokens.back();
        each->i32("past")[0] = past[slot] + static_cast<int32_t>(prompt.size()) + i;
        Draw draw = {0.5f * static_cast<float>(i % 3), i % 4 * 5, i % 5 == 2 ? 0.8f : 1.f,
                     Philox(3).bits64(i)};
        int32_t count = static_cast<int32_t>(built.config.vocab) - 2;
        ask(*each, draw, count);
        each->setProfiling(i % 2 == 1);
        each->run("decode", {}, slot);
        EXPECT_EQ(each->i32(kSampled)[0],
                  drawnId(keptIds(each->f32("logits").first(count), draw), draw.bits))
            << (each == gpu.get() ? "GPU, draw " : "CPU, draw ") << i;
      }
    }
    EXPECT_EQ(told[1], told[0]) << "slot " << slot;
    prompt = {9, 9, 1};
  }
}

} // namespace lmc::test
