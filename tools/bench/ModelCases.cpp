// Whole models with random weights: training steps and decode.
#include "tools/bench/Case.h"
#include "tools/bench/ModelWork.h"
#include "tools/bench/Torch.h"

#include "codegen/Compiler.h"
#include "codegen/cpu/Matmul.h"
#include "codegen/cuda/Gpus.h"
#include "codegen/cuda/Nvrtc.h"
#include "frontend/Weights.h"
#include "passes/Pipeline.h"
#include "runtime/Error.h"
#include "runtime/Philox.h"
#include "runtime/Session.h"

#include <array>
#include <cmath>

namespace lmc::bench {
namespace {

struct TrainShape {
  ModelConfig config;
  int64_t batch, length;
  bool bf16;
};

ModelConfig gpt2(int64_t layers, int64_t heads, int64_t width, int64_t vocab, int64_t context,
                 bool biases) {
  ModelConfig c;
  c.layers = layers;
  c.heads = c.kvHeads = heads;
  c.width = width;
  c.headDim = width / heads;
  c.ffnWidth = 4 * width;
  c.vocab = vocab;
  c.context = context;
  c.biases = biases;
  return c;
}

ModelConfig llama110m() {
  ModelConfig c = gpt2(12, 12, 768, 32000, 1024, true);
  c.architecture = Architecture::Llama;
  c.ffnWidth = 2048;
  c.activation = Activation::Silu;
  c.tiedHead = false;
  return c;
}

/// 1.1 billion parameters, in the proportions of Llama 3.2 1B: four query heads share a key head.
ModelConfig llama1b() {
  ModelConfig c = gpt2(16, 32, 2048, 32768, 2048, true);
  c.architecture = Architecture::Llama;
  c.kvHeads = 8;
  c.ffnWidth = 8192;
  c.activation = Activation::Silu;
  c.tiedHead = false;
  return c;
}

int64_t sizeOf(const ParameterSpec &parameter) {
  int64_t size = 1;
  for (int64_t extent : parameter.shape)
    size *= extent;
  return size;
}

/// Compiles programs of a model and gives all parameters random values: those of inference are stored
/// and packed as lmc compile does it.
std::unique_ptr<Session> compileModel(const ModelConfig &config, const ProgramOptions &programs,
                                      PipelineOptions pipeline, const Machine &on) {
  mlir::MLIRContext context;
  loadCompilerDialects(context);
  mlir::OwningOpRef<mlir::ModuleOp> module = buildPrograms(context, config, programs);
  CodegenOptions codegen;
  codegen.gpu = on.gpu;
  codegen.products = on.products;
  pipeline.gpu = !on.gpu.empty();
  if (pipeline.gpu)
    pipeline.parameterBytes = cuda::parameterBytes();
  SessionOptions workers{on.threads, 1};
  std::vector<ParameterSpec> parameters = parametersOf(config);
  if (pipeline.train) {
    codegen.mode = "train";
    auto session = std::make_unique<Session>(
        compilePrograms(*module, pipeline, codegen, {}, nullptr), workers);
    for (const ParameterSpec &parameter : parameters)
      initialiseParameter(parameter, 1, session->f32(parameter.name));
    return session;
  }
  if (pipeline.gpu)
    pipeline.splitAttention.emplace().multiprocessors = cuda::multiprocessorsOf(on.gpu);
  else
    pipeline.panelWidth = cpu::panelWidth(cpu::Target::named(codegen.cpu));
  std::vector<float> values;
  auto valuesOf = [&](const std::string &name,
                      std::string_view) -> std::optional<std::span<const std::byte>> {
    auto parameter = std::ranges::find(parameters, name, &ParameterSpec::name);
    values.resize(sizeOf(*parameter));
    initialiseParameter(*parameter, 1, values);
    return std::as_bytes(std::span(values));
  };
  return std::make_unique<Session>(compilePrograms(*module, pipeline, codegen, {}, valuesOf),
                                   workers);
}

class TrainStep : public Workload {
public:
  TrainStep(TrainShape s, const Machine &on) : s(s) {
    ProgramOptions programs;
    programs.batch = s.batch;
    programs.length = s.length;
    programs.inference = false;
    PipelineOptions pipeline;
    pipeline.bf16 = s.bf16;
    pipeline.train.emplace();
    pipeline.train->lr = 1e-4;
    pipeline.train->schedule = "constant";
    pipeline.train->gradClip = 1;
    pipeline.train->weightDecay = 0.1;
    model = compileModel(s.config, programs, pipeline, on);
    uint64_t stream = 0;
    for (const char *name : {"tokens", "targets"}) {
      Philox random(2, stream++);
      int64_t i = 0;
      for (int32_t &id : model->i32(name))
        id = static_cast<int32_t>(random.below(i++, s.config.vocab));
    }
    tokens = double(s.batch * s.length);
    flops = 3 * tokens * flopsPerToken(s.config, double(s.length));
    arenaBytes = double(model->arenaBytes());
  }

  void run() override { model->run("train_step"); }
  Session *session() override { return model.get(); }
  const char *program() const override { return "train_step"; }

  /// Random weights predict nothing (a loss near ln V); the same batch again and again is learned.
  /// The numbers of the kernels are checked by their own cases, those of training by ctest.
  std::string check() override {
    model->run("eval");
    double before = model->f32("loss")[0], expected = std::log(double(s.config.vocab));
    if (!(std::abs(before - expected) < 0.05 * expected))
      fail("loss of random weights is {}, ln V is {}", before, expected);
    for (int i = 0; i < 3; ++i)
      run();
    model->run("eval");
    double after = model->f32("loss")[0];
    if (!(after < before))
      fail("loss was {} and is {} after 3 steps on one batch", before, after);
    return fmt::format("loss {:.3f} (ln V {:.3f}), {:.3f} after 3 steps", before, expected, after);
  }

  std::vector<Peer> peers(const PeerOptions &options) override {
    const ModelConfig &c = s.config;
    return torchPeers(options, {"train",
                                {{"layers", c.layers},
                                 {"heads", c.heads},
                                 {"width", c.width},
                                 {"vocab", c.vocab},
                                 {"context", c.context},
                                 {"biases", c.biases},
                                 {"batch", s.batch},
                                 {"length", s.length},
                                 {"bf16", s.bf16}}});
  }

private:
  TrainShape s;
  std::unique_ptr<Session> model;
};

/// One token after `past` others.
class Decode : public Workload {
public:
  Decode(ModelConfig config, int64_t past, bool bf16, const Machine &on)
      : config(config), bf16(bf16) {
    ProgramOptions programs;
    programs.training = false;
    programs.chunk = 32;
    programs.length = kChecked; // a GPU sends all rows of logits that forward may have
    PipelineOptions pipeline;
    pipeline.bf16 = bf16;
    model = compileModel(config, programs, pipeline, on);
    model->i32("past")[0] = static_cast<int32_t>(past);
    for (const ParameterSpec &parameter : parametersOf(config))
      bytes += double(model->bytes(parameter.name).size());
    bytes -=
        (bf16 ? 2 : 4) * double((config.vocab - 1) * config.width); // of the embeddings one row
    flops = flopsPerToken(config, 2 * double(past));
    tokens = 1;
    arenaBytes = double(model->arenaBytes());
  }

  void run() override { model->run("decode"); }
  Session *session() override { return model.get(); }
  const char *program() const override { return "decode"; }

  /// The same logits as the forward program's, which reads all tokens at once.
  std::string check() override {
    int32_t past = model->i32("past")[0];
    std::array<int32_t, kChecked> ids = {5, 17, 311, 2, 800};
    for (size_t i = 0; i < ids.size(); ++i) {
      model->i32("tokens")[0] = ids[i];
      model->i32("past")[0] = static_cast<int32_t>(i);
      run();
    }
    std::vector<float> got(model->f32("logits").begin(),
                           model->f32("logits").begin() + config.vocab);
    std::ranges::copy(ids, model->i32("tokens").begin());
    model->run("forward", model->dimsWith("T", int64_t(ids.size())));
    std::span<const float> expected =
        model->f32("logits").subspan((ids.size() - 1) * config.vocab, config.vocab);
    float tolerance = bf16 ? 2e-2f : 1e-4f;
    for (int64_t i = 0; i < config.vocab; ++i)
      if (!(std::abs(got[i] - expected[i]) <= tolerance * std::max(1.0f, std::abs(expected[i]))))
        fail("logit {}: decode gives {}, forward {}", i, got[i], expected[i]);
    model->i32("past")[0] = past;
    return "logits of 5 tokens as forward gives them";
  }

private:
  static constexpr int64_t kChecked = 5; ///< tokens

  ModelConfig config;
  bool bf16;
  std::unique_ptr<Session> model;
};

} // namespace

void addModels(std::vector<Case> &cases, const Machine &on) {
  auto train = [&](const char *name, const ModelConfig &config, int64_t batch, int64_t length,
                   bool bf16 = false) {
    TrainShape shape{config, batch, length, bf16};
    cases.push_back(
        {fmt::format("train.{}.b{}t{}{}", name, batch, length, bf16 ? ".bf16" : ""),
         fmt::format("{} layers, width {}, V={}", config.layers, config.width, config.vocab),
         Bound::Compute, [=] { return std::make_unique<TrainStep>(shape, on); }});
  };
  ModelConfig gpt2Small = gpt2(12, 12, 768, 50257, 1024, true);
  if (!on.gpu.empty()) {
    train("gpt2-124m", gpt2Small, 4, 256, false);
    train("gpt2-124m", gpt2Small, 16, 1024, true);
    for (int64_t past : {16, 2000})
      cases.push_back({fmt::format("decode.llama-1b.past{}.bf16", past),
                       "16 layers, width 2048, V=32768", Bound::Memory,
                       [=] { return std::make_unique<Decode>(llama1b(), past, true, on); }});
    return;
  }
  for (bool bf16 : {false, true}) {
    train("gpt2-124m", gpt2Small, 4, 64, bf16);
    train("gpt2-124m", gpt2Small, 4, 256, bf16);
  }
  train("shakespeare-char", gpt2(6, 6, 384, 65, 256, false), 16, 256);
  train("shakespeare-small", gpt2(4, 4, 128, 65, 64, false), 12, 64);
  for (bool bf16 : {false, true})
    for (int64_t past : {16, 512})
      cases.push_back({fmt::format("decode.llama-110m.past{}{}", past, bf16 ? ".bf16" : ""),
                       "12 layers, width 768, V=32000", Bound::Memory,
                       [=] { return std::make_unique<Decode>(llama110m(), past, bf16, on); }});
}

} // namespace lmc::bench
