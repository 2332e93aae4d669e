// Whole models compiled for a GPU and run through the runtime, on the emulated driver: the same text
// of kernels, the same session, beside the same programs on this processor.
#include "EmulatedDriver.h"

#include "codegen/Compiler.h"
#include "frontend/Weights.h"
#include "frontend/models/Programs.h"
#include "runtime/Error.h"
#include "runtime/Session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace lmc::test {
namespace {

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

struct Built {
  ModelConfig config;
  ProgramOptions programs;
  bool bf16 = false;
};

/// The model's session for one of the targets; all parameters initialised alike.
std::unique_ptr<Session> session(const Built &built, bool gpu) {
  mlir::MLIRContext context;
  loadCompilerDialects(context);
  auto module = buildPrograms(context, built.config, built.programs);
  std::vector<ParameterSpec> parameters = parametersOf(built.config);
  PipelineOptions pipeline;
  CodegenOptions codegen;
  codegen.useCache = false;
  pipeline.gpu = gpu;
  pipeline.bf16 = built.bf16;
  if (built.programs.training) {
    codegen.mode = "train";
    pipeline.train = OptimizerUpdateOptions();
    pipeline.train->gradClip = 1;
  }
  if (gpu) {
    codegen.gpu = "sm_90a";
    codegen.assembleCuda = assembleForHost;
  }
  SessionOptions options{2, 2};
  options.cuda = &emulatedDriver();
  std::vector<float> values;
  auto valuesOf = [&](const std::string &name,
                      std::string_view) -> std::optional<std::span<const std::byte>> {
    auto parameter = std::ranges::find(parameters, name, &ParameterSpec::name);
    values.resize(std::accumulate(parameter->shape.begin(), parameter->shape.end(), int64_t(1),
                                  std::multiplies<>()));
    initialiseParameter(*parameter, 1, values);
    return std::as_bytes(std::span(values));
  };
  return std::make_unique<Session>(compilePrograms(*module, pipeline, codegen, {}, valuesOf),
                                   options);
}

void fillIds(Session &to, const std::string &name, int64_t vocab, int seed) {
  int64_t i = 0;
  for (int32_t &id : to.i32(name))
    id = static_cast<int32_t>((7 * i + 3 * seed + i * i) % vocab), ++i;
}

double relative(double a, double b) { return std::fabs(a - b) / std::max(1e-12, std::fabs(b)); }

/// Largest difference over the largest value.
double relative(std::span<const float> got, std::span<const float> expected) {
  double most = 0, scale = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    most = std::max<double>(most, std::fabs(got[i] - expected[i]));
    scale = std::max<double>(scale, std::fabs(expected[i]));
  }
  return most / std::max(scale, 1e-12);
}

void compareTraining(const ModelConfig &config, bool bf16, double tolerance,
                     const Dropout &dropout = {}) {
  Built built{config, {}, bf16};
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

TEST(CudaSession, Gpt2TrainsAsOnTheCpu) { compareTraining(tiny(Architecture::Gpt2), false, 1e-5); }
TEST(CudaSession, LlamaTrainsAsOnTheCpu) {
  compareTraining(tiny(Architecture::Llama), false, 1e-5);
}
TEST(CudaSession, DropoutDropsTheSameAsOnTheCpu) {
  compareTraining(tiny(Architecture::Gpt2), false, 1e-5, {.embedding = 0.2, .residual = 0.4});
}
TEST(CudaSession, Bf16TrainsAsOnTheCpu) { compareTraining(tiny(Architecture::Gpt2), true, 2e-2); }

/// Heads that warpgroups attend to, with tensor maps of the arena.
TEST(CudaSession, Bf16TrainsByWarpgroupsAsOnTheCpu) {
  ModelConfig config = tiny(Architecture::Llama);
  config.layers = 1;
  config.heads = 2;
  config.kvHeads = 1;
  config.headDim = 64;
  config.width = 128;
  size_t before = encodedTensorMaps();
  compareTraining(config, true, 2e-2);
  EXPECT_GE(encodedTensorMaps() - before, 3u); // of q, k and v
}

TEST(CudaSession, TenTokensAreThoseOfTheCpu) {
  Built built{tiny(Architecture::Llama), {}};
  built.programs.training = false;
  built.programs.chunk = 8;
  built.programs.cacheLength = 16;
  auto cpu = session(built, false), gpu = session(built, true);
  std::vector<int32_t> prompt = {5, 17, 3, 60, 8};
  // Caches of one slot do not touch the other's, and launch by launch is as a whole: the last round
  // replays graphs of the first one while the launches by themselves were those of slot 0.
  for (int slot : {1, 0, 1}) {
    std::vector<int32_t> told[2];
    for (Session *each : {cpu.get(), gpu.get()}) {
      std::vector<int32_t> &tokens = told[each == gpu.get()];
      std::ranges::copy(prompt, each->i32("tokens").begin());
      each->i32("past")[0] = 0;
      each->i32("last")[0] = static_cast<int32_t>(prompt.size()) - 1;
      std::vector<int64_t> dims;
      for (const auto &dim : each->executable().message().dims())
        dims.push_back(dim.name() == "T" ? static_cast<int64_t>(prompt.size()) : dim.max());
      each->setProfiling(false);
      each->run("prefill", dims, slot);
      for (int i = 0; i < 10; ++i) {
        std::span<float> logits = each->f32("logits").first(built.config.vocab);
        tokens.push_back(static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin()));
        each->i32("tokens")[0] = tokens.back();
        each->i32("past")[0] = static_cast<int32_t>(prompt.size()) + i;
        each->setProfiling(i % 2 == 1);
        each->run("decode", {}, slot);
      }
    }
    EXPECT_EQ(told[1], told[0]) << "slot " << slot;
    prompt = {9, 9, 1};
  }
}

TEST(CudaSession, TheDriverSaysWhichGpuItIs) {
  EXPECT_EQ(emulatedDriver(8, 6).architecture(), "sm_86");
  EXPECT_EQ(emulatedDriver().architecture(), "sm_90a");
  EXPECT_EQ(emulatedDriver().busId(), "0000:3B:00.0");
}

TEST(CudaSession, CodeForAnotherGpuIsRefused) {
  Built built{tiny(Architecture::Gpt2), {}};
  built.programs.inference = false;
  auto gpu = session(built, true);
  try {
    SessionOptions options;
    options.cuda = &emulatedDriver(8, 0);
    Session other(std::make_shared<Executable>(gpu->executable()), options);
    FAIL();
  } catch (const Error &error) {
    EXPECT_NE(std::string(error.what())
                  .find("compiled for sm_90a, but this GPU (emulated GPU) is "
                        "sm_80; compile again with --target cuda:sm_80"),
              std::string::npos)
        << error.what();
  }
  emulatedDriver();
}

TEST(CudaSession, NothingStaysOnTheGpu) {
  Built built{tiny(Architecture::Gpt2), {}};
  built.programs.inference = false;
  size_t before = emulatedBytes();
  {
    auto gpu = session(built, true);
    EXPECT_EQ(emulatedBytes() - before, gpu->arenaBytes());
    EXPECT_EQ(gpu->arenaPeakBytes(), gpu->arenaBytes());
  }
  EXPECT_EQ(emulatedBytes(), before);
}

} // namespace
} // namespace lmc::test
