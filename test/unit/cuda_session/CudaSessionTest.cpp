// Whole models compiled for a GPU and run through the runtime, on the emulated driver: the same text
// of kernels, the same session, beside the same programs on this processor.
#include "EmulatedDriver.h"
#include "TinyModels.h"

#include "runtime/Error.h"
#include "runtime/PagePool.h"
#include "runtime/Sampling.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace lmc::test {
namespace {

TEST(CudaSession, Gpt2TrainsAsOnTheCpu) { compareTraining({tiny(Architecture::Gpt2), {}}, 1e-5); }
TEST(CudaSession, LlamaTrainsAsOnTheCpu) { compareTraining({tiny(Architecture::Llama), {}}, 1e-5); }
TEST(CudaSession, DropoutDropsTheSameAsOnTheCpu) {
  compareTraining({tiny(Architecture::Gpt2), {}}, 1e-5, {.embedding = 0.2, .residual = 0.4});
}
TEST(CudaSession, Bf16TrainsAsOnTheCpu) {
  compareTraining({tiny(Architecture::Gpt2), {}, true}, 2e-2);
}

/// Launches of a program whose first output's path ends so.
size_t launchesOf(const Session &session, const std::string &program, const std::string &ending) {
  size_t count = 0;
  for (const auto &one : session.executable().message().programs())
    for (const auto &launch : one.launches())
      count += one.name() == program && launch.output_paths(0).ends_with(ending);
  return count;
}

/// AdamW of all parameters in one launch, in several, and a launch each: the same weights and moments to
/// the bit, with f32 masters of what products read as bf16. Each output keeps its own path.
TEST(CudaSession, JoinedUpdatesAreTheSameToTheBit) {
  for (int64_t accumulate : {1, 2}) {
    Built built{tiny(Architecture::Gpt2), {}, true};
    built.programs.batch = 2;
    built.programs.length = 7;
    built.programs.inference = false;
    built.accumulate = accumulate;
    auto joined = session(built, true);
    built.parameterBytes = 800;
    auto inParts = session(built, true);
    built.parameterBytes = 0;
    auto apart = session(built, true);
    std::vector<ParameterSpec> parameters = parametersOf(built.config);
    const std::string update = accumulate == 1 ? "train_step" : "apply";
    EXPECT_EQ(launchesOf(*joined, update, ".adamw"), 1u);
    EXPECT_GT(launchesOf(*inParts, update, ".adamw"), 1u);
    EXPECT_LT(launchesOf(*inParts, update, ".adamw"), parameters.size());
    EXPECT_EQ(launchesOf(*apart, update, ".adamw"), parameters.size());
    for (const auto &program : joined->executable().message().programs())
      for (const auto &launch : program.launches())
        if (launch.output_paths(0).ends_with(".adamw"))
          for (const ParameterSpec &parameter : parameters)
            EXPECT_EQ(std::ranges::count(launch.output_paths(), parameter.name + ".adamw"), 3)
                << parameter.name;
    for (int step = 0; step < 3; ++step)
      for (Session *each : {joined.get(), inParts.get(), apart.get()}) {
        setEmulatedOrder(static_cast<unsigned>(step));
        for (int64_t part = 0; part < accumulate; ++part) {
          fillIds(*each, "tokens", built.config.vocab, step);
          fillIds(*each, "targets", built.config.vocab, step + 1);
          each->run(accumulate == 1 ? "train_step" : "accumulate");
        }
        if (accumulate > 1)
          each->run("apply");
      }
    auto expectSame = [&](const std::string &name) {
      for (Session *other : {inParts.get(), apart.get()})
        EXPECT_TRUE(std::ranges::equal(joined->f32(name), other->f32(name))) << name;
    };
    expectSame("grad_norm");
    for (const ParameterSpec &parameter : parameters)
      for (const char *prefix : {"", "adamw.m.", "adamw.v."})
        expectSame(prefix + parameter.name);
    if (accumulate > 1)
      for (const ParameterSpec &parameter : parameters)
        EXPECT_TRUE(std::ranges::all_of(joined->f32("grad." + parameter.name),
                                        [](float x) { return x == 0; }));
  }
}

/// Heads that warpgroups attend to, with tensor maps of the arena.
TEST(CudaSession, Bf16TrainsByWarpgroupsAsOnTheCpu) {
  ModelConfig config = tiny(Architecture::Llama);
  config.layers = 1;
  config.heads = 2;
  config.kvHeads = 1;
  config.headDim = 64;
  config.width = 128;
  size_t before = encodedTensorMaps();
  compareTraining({config, {}, true}, 2e-2);
  EXPECT_GE(encodedTensorMaps() - before, 11u); // of q, k and v; for dq and for dk, dv of dout, too
}

TEST(CudaSession, TenTokensAreThoseOfTheCpu) { compareTokens({tiny(Architecture::Llama), {}}); }

/// Keys in two parts of chunks of 16: in slot 1 the second part is empty at first, in slot 0 the first one
/// goes on behind it.
TEST(CudaSession, TokensOfKeysInPartsAreThoseOfTheCpu) {
  Built built{tiny(Architecture::Llama), {}};
  built.config.context = 48;
  built.config.layers = 1;
  built.splitAttention.emplace().parts = 2;
  built.splitAttention->chunk = 16;
  built.programs.training = false;
  auto executable = compile(built, true);
  bool found = false;
  for (const auto &program : executable->message().programs())
    for (const auto &launch : program.launches())
      found |= program.name() == "decode" &&
               std::ranges::count(launch.output_ops(), "lm.attention_parts") > 0;
  EXPECT_TRUE(found);
  compareTokens(built, {26, 10});
}

/// Two sequences of different lengths in a pool of pages, prompts one by one and tokens together; with keys in
/// parts and without.
TEST(CudaSession, SequencesInPagesGiveTheTokensOfTheCpu) {
  for (bool parts : {false, true}) {
    Built built{tiny(Architecture::Llama), {}};
    built.config.context = 48;
    built.config.layers = 1;
    if (parts) {
      built.splitAttention.emplace().parts = 2;
      built.splitAttention->chunk = 16;
    }
    built.programs = {.chunk = 8,
                      .cacheLength = 48,
                      .pageTokens = 4,
                      .poolTokens = 64,
                      .decodeBatch = 2,
                      .training = false};
    std::vector<int32_t> told[2];
    std::vector<float> logits[2];
    for (bool gpu : {false, true}) {
      auto run = session(built, gpu);
      PagePool pool(16, 4);
      auto gone = pool.lease(10), one = pool.lease(26), two = pool.lease(10);
      gone->grow(10);
      one->grow(1);
      gone.reset(); // pages of the first sequence do not follow one another
      PagePool::Lease *leases[] = {one.get(), two.get()};
      int64_t held[] = {0, 0};
      size_t entries = run->i32(kPages).size() / 2;
      auto place = [&](int row, int sequence, int64_t tokens) {
        leases[sequence]->grow(held[sequence] + tokens);
        run->i32("past")[row] = static_cast<int32_t>(held[sequence]);
        std::span<int32_t> table = run->i32(kPages).subspan(row * entries, entries);
        std::ranges::fill(table, -1);
        std::ranges::copy(leases[sequence]->pages(), table.begin());
        held[sequence] += tokens;
      };
      int32_t last[2];
      std::ranges::fill(run->i32(kSampleCount), 0);
      std::ranges::fill(run->f32(kSampleTopP), 1.0f);
      for (auto [sequence, count] : {std::pair(0, 8), {1, 5}, {0, 8}, {0, 3}}) {
        for (int i = 0; i < count; ++i)
          run->i32("tokens")[i] = (7 * i + 3 * sequence + count) % 50;
        place(0, sequence, count);
        run->i32("last")[0] = count - 1;
        run->run("prefill", run->dimsWith("chunk", count));
        last[sequence] = run->i32(kSampled)[0];
      }
      for (int step = 0; step < 4; ++step) {
        for (int row : {0, 1}) {
          int sequence = (row + step) % 2;
          place(row, sequence, 1);
          run->i32("tokens")[row] = last[sequence];
        }
        run->run("decode_batch", run->dimsWith("sequences", 2));
        for (int row : {0, 1}) {
          last[(row + step) % 2] = run->i32(kSampled)[row];
          told[gpu].push_back(run->i32(kSampled)[row]);
        }
        std::span<float> rows = run->f32("logits").first(2 * built.config.vocab);
        logits[gpu].insert(logits[gpu].end(), rows.begin(), rows.end());
      }
    }
    EXPECT_EQ(told[1], told[0]);
    EXPECT_LT(relative(logits[1], logits[0]), 1e-5);
  }
}

/// Blocks as a file has them, packed for each target's own panels: the GPU's tokens are the CPU's.
TEST(CudaSession, QuantisedWeightsGiveTheTokensOfTheCpu) {
  for (TensorType blocks : {TensorType::Q8_0, TensorType::Q5_1}) {
    Built built{tiny(Architecture::Llama), {}};
    built.config.width = 32;
    built.config.headDim = 8;
    built.config.ffnWidth = 64;
    built.config.kvHeads = 4;
    built.blocks = blocks;
    built.programs.training = false;
    auto executable = compile(built, true);
    size_t products = 0, gathers = 0;
    for (const auto &kernel : executable->message().kernels()) {
      products += kernel.family() == "quantize";
      gathers += kernel.family() == "block_gather";
    }
    EXPECT_GT(products, 0u);
    EXPECT_GT(gathers, 0u);
    compareTokens(built);
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
