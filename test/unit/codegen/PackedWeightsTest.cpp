// Weights packed ahead, weights and caches of 16 bits: the programs of a model mean the same, and compute
// the same, as with plain ones.
#include "codegen/Compiler.h"
#include "codegen/cpu/Matmul.h"
#include "frontend/models/Programs.h"
#include "ir/Panels.h"
#include "ir/ProgramAttributes.h"
#include "passes/Passes.h"
#include "runtime/Bfloat16.h"
#include "runtime/Error.h"
#include "runtime/Half.h"
#include "runtime/Philox.h"
#include "runtime/Session.h"
#include "test/unit/ir/OpCases.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

using namespace mlir;

namespace lmc::test {
namespace {

/// Odd sizes: panels end inside the matrices, depths inside a step.
ModelConfig llama() {
  ModelConfig config;
  config.architecture = Architecture::Llama;
  config.layers = 2;
  config.width = 66;
  config.heads = 6;
  config.kvHeads = 6;
  config.headDim = 10;
  config.ffnWidth = 131;
  config.vocab = 157;
  config.context = 21;
  config.normEps = 1e-6;
  config.tiedHead = false;
  config.activation = Activation::Silu;
  return config;
}

std::map<std::string, std::vector<float>> weightsOf(const ModelConfig &config) {
  std::map<std::string, std::vector<float>> weights;
  uint64_t stream = 0;
  for (const ParameterSpec &parameter : parametersOf(config)) {
    int64_t size = 1;
    for (int64_t extent : parameter.shape)
      size *= extent;
    Philox random(3, stream++);
    std::vector<float> &values = weights[parameter.name];
    for (int64_t i = 0; i < size; ++i)
      values.push_back(
          static_cast<float>((parameter.shape.size() == 1 ? 0.7 : 0) + 0.3 * random.normal(i)));
  }
  return weights;
}

struct Storage {
  int64_t panelWidth = 0;
  std::string_view half; ///< f16 or bf16: weights are first rounded to it
  bool stored = false;   ///< and the compiler knows
  std::string cacheFormat = "";
  int64_t draft = 0; ///< rows of @verify; 0: no such program
};

std::shared_ptr<const Executable> compile(const ModelConfig &config, const Storage &storage) {
  MLIRContext context;
  loadCompilerDialects(context);
  auto module = buildPrograms(context, config, {.draft = storage.draft, .training = false});
  PipelineOptions pipeline;
  pipeline.panelWidth = storage.panelWidth;
  pipeline.cacheFormat = storage.cacheFormat;
  auto weights = weightsOf(config);
  for (auto &[name, values] : weights)
    for (float &value : values)
      if (storage.half == "f16")
        value = halfToFloat(floatToHalf(value));
      else if (storage.half == "bf16")
        value = bfloat16ToFloat(floatToBfloat16(value));
  Builder b(&context);
  Type element = storage.half == "f16" ? Type(b.getF16Type()) : Type(b.getBF16Type());
  if (storage.stored)
    for (auto function : module->getOps<func::FuncOp>())
      for (unsigned i = 0; i < function.getNumArguments(); ++i)
        if (hasRole(function, i, "parameter"))
          function.setArgAttr(i, kStored, TypeAttr::get(element));
  return compilePrograms(*module, pipeline, {.jobs = 2, .useCache = false}, {},
                         [&](const std::string &name, std::string_view) {
                           return std::as_bytes(std::span(weights.at(name)));
                         });
}

int64_t hostWidth() { return cpu::panelWidth(cpu::Target::host()); }

/// Logits of @forward for some tokens, and of @prefill of the first ones and @decode of the last.
std::vector<float> logits(const ModelConfig &config, std::shared_ptr<const Executable> executable,
                          int threads, int64_t count) {
  Session session(std::move(executable), {threads, 1});
  auto dimsFor = [&](int64_t tokens) {
    std::vector<int64_t> dims;
    for (const auto &dim : session.executable().message().dims())
      dims.push_back(std::min(dim.max(), tokens));
    return dims;
  };
  std::vector<float> result;
  auto take = [&](int64_t rows) {
    auto span = session.f32("logits").first(rows * config.vocab);
    result.insert(result.end(), span.begin(), span.end());
  };
  auto fill = [&](int64_t first, int64_t tokens) {
    for (int64_t i = 0; i < tokens; ++i)
      session.i32("tokens")[i] = static_cast<int32_t>((first + i) * 31 % config.vocab);
  };
  fill(0, count);
  session.run("forward", dimsFor(count));
  take(count);
  session.i32("past")[0] = 0;
  session.i32("last")[0] = static_cast<int32_t>(count - 1);
  session.run("prefill", dimsFor(count));
  take(1);
  fill(count, 1);
  session.i32("past")[0] = static_cast<int32_t>(count);
  session.run("decode", dimsFor(1));
  take(1);
  return result;
}

TEST(PackedWeights, LogitsAreThoseOfPlainWeights) {
  for (bool biasesAndTied : {false, true}) {
    ModelConfig config = llama();
    config.biases = config.tiedHead = biasesAndTied;
    if (biasesAndTied) {
      config.architecture = Architecture::Gpt2;
      config.headDim = config.width / config.heads;
    }
    auto plain = compile(config, {}), packed = compile(config, {hostWidth()});
    for (int64_t count : {1, 5, 20}) {
      std::vector<float> expected = logits(config, plain, 2, count),
                         got = logits(config, packed, 2, count);
      ASSERT_EQ(got.size(), expected.size());
      for (size_t i = 0; i < got.size(); ++i)
        ASSERT_NEAR(got[i], expected[i], 2e-4 * (1 + std::abs(expected[i]))) << i << ", " << count;
      std::vector<float> alone = logits(config, packed, 1, count);
      EXPECT_EQ(std::memcmp(alone.data(), got.data(), got.size() * sizeof(float)), 0);
    }
  }
}

// 16 bits in memory are the same numbers as their f32 forms, and half the bytes; norms stay f32.
TEST(PackedWeights, HalvesAreWidenedExactly) {
  struct Case {
    const char *half;
    bool tied;
    int64_t width;
  };
  for (auto [half, tied, width] :
       {Case{"f16", false, hostWidth()}, Case{"bf16", true, hostWidth()}, Case{"f16", true, 0}}) {
    ModelConfig config = llama();
    config.tiedHead = tied;
    auto wide = compile(config, {width, half}), narrow = compile(config, {width, half, true});
    int halves = 0;
    for (const auto &tensor : narrow->message().tensors())
      halves += nameOf(tensor.dtype()) == half;
    EXPECT_EQ(halves, 2 * 7 + (tied ? 1 : 2)) << half;
    for (int64_t count : {1, 5, 20}) {
      std::vector<float> expected = logits(config, wide, 2, count),
                         got = logits(config, narrow, 2, count);
      ASSERT_EQ(got.size(), expected.size());
      EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0)
          << half << ", tied " << tied << ", panels of " << width << ", " << count;
    }
  }
}

struct CacheCase {
  const char *format;
  executable::DType type;
  double bytes, error; ///< of f32's bytes, with padding; of the largest logit
};

class Caches : public testing::TestWithParam<CacheCase> {};

// A chunk of a sequence and a decoded token read keys and values that were rounded once.
TEST_P(Caches, HoldRoundedKeysAndValues) {
  auto [format, type, bytes, bound] = GetParam();
  ModelConfig config = llama();
  auto wide = compile(config, {hostWidth()});
  auto narrow = compile(config, {.panelWidth = hostWidth(), .cacheFormat = format});
  for (const auto &tensor : narrow->message().tensors())
    if (tensor.role() == executable::CACHE)
      EXPECT_EQ(tensor.dtype(), type);
  EXPECT_LT(narrow->message().slot_bytes(), bytes * wide->message().slot_bytes());
  for (int64_t count : {5, 20}) {
    std::vector<float> expected = logits(config, wide, 2, count),
                       got = logits(config, narrow, 2, count);
    ASSERT_EQ(got.size(), expected.size());
    double largest = 0, error = 0;
    size_t cached = count * config.vocab; // before it the forward pass, which has no cache
    EXPECT_EQ(std::memcmp(got.data(), expected.data(), cached * sizeof(float)), 0);
    for (size_t i = cached; i < got.size(); ++i) {
      largest = std::max(largest, std::abs<double>(expected[i]));
      error = std::max(error, std::abs<double>(got[i] - expected[i]));
    }
    EXPECT_LT(error, bound * largest);
    EXPECT_GT(error, 1e-3 * bound * largest) << "nothing was rounded";
    EXPECT_EQ(logits(config, narrow, 1, count), got);
  }
}

INSTANTIATE_TEST_SUITE_P(PackedWeights, Caches,
                         testing::Values(CacheCase{"f16", executable::F16, 0.52, 4e-3},
                                         CacheCase{"q8_0", executable::U8, 0.32, 5e-2}),
                         [](const auto &info) { return info.param.format; });

/// Logits [count, V] of @verify for tokens behind 3 others, `atOnce` at a time.
std::vector<float> verified(const ModelConfig &config, std::shared_ptr<const Executable> executable,
                            int64_t count, int64_t atOnce) {
  Session session(std::move(executable), {2, 1});
  auto run = [&](const char *program, const char *dim, int64_t past, int64_t tokens) {
    for (int64_t i = 0; i < tokens; ++i)
      session.i32("tokens")[i] = static_cast<int32_t>((past + i) * 31 % config.vocab);
    session.i32("past")[0] = static_cast<int32_t>(past);
    session.i32("last")[0] = static_cast<int32_t>(tokens - 1);
    session.run(program, session.dimsWith(dim, tokens));
  };
  run("prefill", "chunk", 0, 3);
  std::vector<float> result;
  for (int64_t i = 0; i < count; i += atOnce) {
    int64_t tokens = std::min(atOnce, count - i);
    run("verify", "draft", 3 + i, tokens);
    auto rows = session.f32("logits").first(tokens * config.vocab);
    result.insert(result.end(), rows.begin(), rows.end());
  }
  return result;
}

// What a generator draws must not depend on what is guessed: few rows are one path on every target.
TEST(PackedWeights, RowsOfVerifyAreTheSameHoweverManyAreComputed) {
  for (bool gpt2 : {false, true})
    for (int64_t width : {int64_t(0), hostWidth()})
      for (int64_t draft : {2, 6}) {
        ModelConfig config = llama();
        config.biases = config.tiedHead = gpt2;
        if (gpt2) {
          config.architecture = Architecture::Gpt2;
          config.headDim = config.width / config.heads;
        }
        auto executable = compile(config, {.panelWidth = width, .draft = draft});
        auto expected = verified(config, executable, 17, 1);
        for (int64_t atOnce : {int64_t(2), int64_t(3), draft}) {
          if (atOnce > draft)
            continue;
          auto got = verified(config, executable, 17, atOnce);
          EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0)
              << (gpt2 ? "gpt2" : "llama") << ", panels of " << width << ", " << atOnce << " of "
              << draft;
        }
      }
}

TEST(PackedWeights, AreStoredAsPanels) {
  ModelConfig config = llama();
  auto executable = compile(config, {hostWidth()});
  auto weights = weightsOf(config);
  int packed = 0;
  for (const auto &tensor : executable->message().tensors()) {
    if (!tensor.has_packing())
      continue;
    ++packed;
    const auto &shape = tensor.packing().shape();
    bool transposed = tensor.packing().transposed();
    lm::Panels panels{shape[transposed ? 1 : 0], shape[transposed ? 0 : 1], tensor.shape(2)};
    EXPECT_EQ(tensor.bytes(), panels.size() * sizeof(float));
    EXPECT_EQ(tensor.arena_offset(), -1) << "read where the file is mapped";
    const auto *stored =
        reinterpret_cast<const float *>(executable->data().data() + tensor.data_offset());
    const std::vector<float> &plain = weights.at(tensor.name());
    double sum = 0, expected = 0;
    for (int64_t k = 0; k < panels.depth; ++k)
      for (int64_t j = 0; j < panels.columns; ++j)
        ASSERT_EQ(stored[panels.at(k, j)],
                  plain[transposed ? j * panels.depth + k : k * panels.columns + j]);
    for (int64_t i = 0; i < panels.size(); ++i)
      sum += std::abs(stored[i]);
    for (float value : plain)
      expected += std::abs(value);
    EXPECT_NEAR(sum, expected, 1e-6 * expected) << "padding is zeros";
  }
  EXPECT_GT(packed, 0);
}

TEST(PackedWeights, AreNotReadAsIfTheyWerePlain) {
  auto executable = compile(llama(), {hostWidth()});
  std::string name;
  for (const auto &tensor : executable->message().tensors())
    if (tensor.has_packing())
      name = tensor.name();
  Session session(executable, {1, 1});
  try {
    session.f32(name);
    FAIL() << "gave panels as a matrix";
  } catch (const Error &error) {
    EXPECT_NE(std::string(error.what()).find("'" + name + "' is packed"), std::string::npos);
  }
}

// The pass alone, on the evaluator: the panels of the weights give the products of the weights.
TEST(PackedWeights, PassKeepsTheMeaning) {
  Context context;
  auto module = context.parse(R"(
    func.func @f(%x: tensor<3x22xf32> {lm.name = "x", lm.role = "input"},
                 %v: tensor<22x19xf32> {lm.name = "v", lm.role = "parameter"},
                 %w: tensor<23x19xf32> {lm.name = "w", lm.role = "parameter"})
        -> (tensor<3x23xf32> {lm.name = "y", lm.role = "output"}) {
      %h = lm.matmul %x, %v : (tensor<3x22xf32>, tensor<22x19xf32>) -> tensor<3x19xf32>
      %y = lm.matmul %h, %w {transpose_b} : (tensor<3x19xf32>, tensor<23x19xf32>) -> tensor<3x23xf32>
      return %y : tensor<3x23xf32>
    })");
  ASSERT_TRUE(module) << context.errors;
  func::FuncOp function = functionOf(*module);
  std::vector<lm::Tensor> arguments;
  for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
    lm::Tensor tensor(cast<RankedTensorType>(type).getShape());
    Philox random(9, i);
    for (int64_t n = 0; n < tensor.size(); ++n)
      tensor.data[n] = random.normal(n);
    arguments.push_back(std::move(tensor));
  }
  auto expected = evaluated(function, arguments);
  ASSERT_TRUE(context.run(*module, createPackWeights({.width = 4}))) << context.errors;
  for (unsigned i : {1u, 2u}) {
    auto type = cast<RankedTensorType>(function.getArgumentTypes()[i]);
    ASSERT_EQ(type.getRank(), 3) << "packed";
    bool transposed = i == 2;
    lm::Panels panels{transposed ? 19 : 22, transposed ? 23 : 19, 4};
    lm::Tensor packed(type.getShape());
    for (int64_t k = 0; k < panels.depth; ++k)
      for (int64_t j = 0; j < panels.columns; ++j)
        packed.data[panels.at(k, j)] =
            arguments[i].data[transposed ? j * panels.depth + k : k * panels.columns + j];
    arguments[i] = std::move(packed);
  }
  expectClose(evaluated(function, arguments), expected, 0, "packed");
}

} // namespace
} // namespace lmc::test
