// Products through cuBLASLt: whole models with a stand-in for the library beside the CPU, and what
// happens where a description is wrong or the library cannot help. If the headers of the toolkit are
// there, the constants are compared with them.
#include "EmulatedDriver.h"
#include "FakeCublasLt.h"
#include "TinyModels.h"

#include "runtime/Error.h"
#include "runtime/KernelAbi.h"

#include <gmock/gmock.h>

#include <cmath>
#include <dlfcn.h>

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
static_assert(lmc::CublasLt::kFloat32 == CUDA_R_32F && lmc::CublasLt::kBfloat16 == CUDA_R_16BF);
static_assert(lmc::CublasLt::kComputeFloat32 == CUBLAS_COMPUTE_32F);
static_assert(lmc::CublasLt::kPlain == CUBLAS_OP_N && lmc::CublasLt::kTransposed == CUBLAS_OP_T);
static_assert(lmc::CublasLt::kTransposeA == CUBLASLT_MATMUL_DESC_TRANSA);
static_assert(lmc::CublasLt::kTransposeB == CUBLASLT_MATMUL_DESC_TRANSB);
static_assert(lmc::CublasLt::kEpilogue == CUBLASLT_MATMUL_DESC_EPILOGUE);
static_assert(lmc::CublasLt::kBiasPointer == CUBLASLT_MATMUL_DESC_BIAS_POINTER);
static_assert(lmc::CublasLt::kBatchCount == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
static_assert(lmc::CublasLt::kBatchStride == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
static_assert(lmc::CublasLt::kMostWorkspace == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
static_assert(lmc::CublasLt::kReductions == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
static_assert(lmc::CublasLt::kAlignmentA == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
static_assert(lmc::CublasLt::kAlignmentB == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
static_assert(lmc::CublasLt::kAlignmentC == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
static_assert(lmc::CublasLt::kAlignmentD == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
static_assert(lmc::CublasLt::kReductionInComputeType == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
static_assert(lmc::CublasLt::kNoEpilogue == CUBLASLT_EPILOGUE_DEFAULT);
static_assert(lmc::CublasLt::kBias == CUBLASLT_EPILOGUE_BIAS);
static_assert(lmc::CublasLt::kGelu == CUBLASLT_EPILOGUE_GELU);
static_assert(sizeof(lmc::CublasLt::Algorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(lmc::CublasLt::Heuristic) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(lmc::CublasLt::Heuristic, workspaceBytes) ==
              offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(lmc::CublasLt::Heuristic, state) ==
              offsetof(cublasLtMatmulHeuristicResult_t, state));
#endif

namespace lmc::test {
namespace {

using testing::HasSubstr;

class CudaProducts : public testing::Test {
protected:
  CudaProducts() : library({LMC_FAKE_CUBLASLT}), fake(state()) {
    EXPECT_EQ(library.missing(), "");
    fake = FakeCublasLt();
    fake.put = [](void *, int (*work)(void *), void *argument, void (*release)(void *)) {
      std::shared_ptr<void> owned(argument, release);
      return putEmulatedWork([=] { return work(owned.get()); });
    };
    fake.isDevice = isEmulatedMemory;
    fake.isRecording = isEmulatedRecording;
  }

  ~CudaProducts() override {
    EXPECT_STREQ(fake.complaint, "");
    EXPECT_EQ(fake.open, 0u) << "objects of the library";
  }

  static FakeCublasLt &state() {
    void *again = dlopen(LMC_FAKE_CUBLASLT, RTLD_NOW); // the same one
    return *static_cast<FakeCublasLt *>(dlsym(again, "fakeCublasLt"));
  }

  Built model(Architecture architecture, bool bf16 = false) {
    return {tiny(architecture), {}, bf16, &library};
  }

  /// One training step's loss and all first moments.
  struct Step {
    double loss;
    std::vector<float> moments;
  };
  static Step step(Session &with, const ModelConfig &config) {
    fillIds(with, "tokens", config.vocab, 0);
    fillIds(with, "targets", config.vocab, 1);
    with.run("train_step");
    Step result{with.f32("loss")[0], {}};
    for (const ParameterSpec &parameter : parametersOf(config)) {
      std::span<float> moment = with.f32("adamw.m." + parameter.name);
      result.moments.insert(result.moments.end(), moment.begin(), moment.end());
    }
    return result;
  }

  static bool agree(const Step &a, const Step &b) {
    return relative(a.loss, b.loss) < 1e-5 && relative(a.moments, b.moments) < 1e-5;
  }

  CublasLt library;
  FakeCublasLt &fake;
};

Built training(Built built) {
  built.programs.batch = 3;
  built.programs.length = 11;
  built.programs.inference = false;
  return built;
}

TEST_F(CudaProducts, Gpt2TrainsAsOnTheCpu) {
  compareTraining(model(Architecture::Gpt2), 1e-5);
  // Forward with bias and residual, adjoints of both operands.
  EXPECT_GT(fake.biased, 0u);
  EXPECT_GT(fake.added, 0u);
  EXPECT_GT(fake.transposedA, 0u);
  EXPECT_GT(fake.transposedB, 0u);
  // Layers share the choice for a shape, and three steps replay one recording.
  EXPECT_LT(fake.heuristics, fake.products);
  EXPECT_EQ(fake.ran, 3 * fake.products);
}

TEST_F(CudaProducts, LlamaTrainsAsOnTheCpu) {
  compareTraining(model(Architecture::Llama), 1e-5);
  EXPECT_GT(fake.products, 0u);
}

TEST_F(CudaProducts, Bf16TrainsAsOnTheCpu) {
  compareTraining(model(Architecture::Gpt2, true), 2e-2);
  EXPECT_GT(fake.products, 0u);
}

TEST_F(CudaProducts, TokensAreThoseOfTheCpu) {
  fake.needs = size_t(32) << 20; // all that there is on sm_90
  Built gpt2 = model(Architecture::Gpt2);
  gpt2.programs.inference = true;
  compareTokens(gpt2);
  EXPECT_EQ(fake.products, 0u); // five rows and one: generated kernels
  compareTokens(model(Architecture::Llama));
}

/// A prompt of ten tokens is a product for the library, with GELU in it; a shorter one in the same
/// program is not.
TEST_F(CudaProducts, RowsDecideAtEveryRun) {
  Built gpt2 = model(Architecture::Gpt2);
  gpt2.programs.training = false;
  gpt2.programs.chunk = 12;
  gpt2.programs.cacheLength = 16;
  auto cpu = session(gpt2, false), gpu = session(gpt2, true);
  for (int tokens : {10, 5, 12, 10}) {
    size_t before = fake.ran, asked = fake.heuristics;
    for (Session *each : {cpu.get(), gpu.get()}) {
      fillIds(*each, "tokens", gpt2.config.vocab, tokens);
      each->i32("past")[0] = 0;
      each->i32("last")[0] = tokens - 1;
      each->run("prefill", each->dimsWith("chunk", tokens));
    }
    EXPECT_LT(relative(gpu->f32("logits"), cpu->f32("logits")), 1e-5) << tokens;
    EXPECT_EQ(fake.ran > before, tokens > 8) << tokens;
    if (before > 0 && tokens == 10) {
      EXPECT_EQ(fake.heuristics, asked); // known, although the graph may be another
    }
  }
  EXPECT_GT(fake.gelus, 0u);
}

TEST_F(CudaProducts, TheWorkspaceIsPartOfThePlan) {
  Built gpt2 = training(model(Architecture::Gpt2));
  auto gpu = session(gpt2, true);
  constexpr uint64_t kWorkspace = (uint64_t(32) << 20) + kLibraryAlignment - kArenaAlignment;
  EXPECT_EQ(gpu->arenaPeakBytes(), gpu->arenaBytes());
  uint64_t arena = 0;
  for (const LedgerRow &row : memoryLedger(gpu->executable(), 7, 2)) {
    arena += row.category == "mapped_weights" ? 0 : row.bytes;
    if (row.category == "workspace") {
      EXPECT_EQ(row.bytes, kWorkspace);
      EXPECT_EQ(row.count, 1u);
    }
  }
  EXPECT_EQ(arena, gpu->arenaBytes());
}

TEST_F(CudaProducts, AMissingLibraryIsSaidOnceAndKernelsRun) {
  Built gpt2 = training(model(Architecture::Gpt2));
  CublasLt absent({"libcublasLt-that-is-not.so"});
  auto cpu = session(gpt2, false);
  auto executable = compile(gpt2, true);
  testing::internal::CaptureStderr();
  auto gpu = session(executable, &absent);
  EXPECT_TRUE(agree(step(*gpu, gpt2.config), step(*cpu, gpt2.config)));
  std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("NVIDIA's cuBLASLt was not found (libcublasLt-that-is-not.so: "));
  EXPECT_THAT(said, HasSubstr("products run on generated kernels\n"));
  EXPECT_EQ(std::ranges::count(said, '\n'), 1) << said;
  EXPECT_EQ(fake.products, 0u);
}

TEST_F(CudaProducts, WithoutAnAlgorithmKernelsRunAndItIsSaid) {
  Built gpt2 = training(model(Architecture::Gpt2));
  auto cpu = session(gpt2, false), gpu = session(gpt2, true);
  fake.needs = (size_t(32) << 20) + 1; // one byte more than there is
  testing::internal::CaptureStderr();
  EXPECT_TRUE(agree(step(*gpu, gpt2.config), step(*cpu, gpt2.config)));
  std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("cuBLASLt 13.0.1 has no algorithm for a product [33, 24] x [24, 72] "
                              "within 33554432 bytes; kernel 'lmc_matmul_"));
  EXPECT_EQ(fake.products, 0u);
  testing::internal::CaptureStderr();
  step(*gpu, gpt2.config);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), ""); // once is enough
}

/// An executable whose area is smaller than its code generator planned.
TEST_F(CudaProducts, ASmallWorkspaceIsNotOverrun) {
  Built gpt2 = training(model(Architecture::Gpt2));
  auto whole = compile(gpt2, true);
  executable::Executable message = whole->message();
  for (executable::Kernel &kernel : *message.mutable_kernels())
    kernel.set_scratch_bytes(0);
  message.set_scratch_bytes(fake.needs); // no room to align it
  DataSection data(whole->data().begin(), whole->data().end());
  testing::internal::CaptureStderr();
  auto gpu = session(std::make_shared<Executable>(message, data), &library);
  step(*gpu, gpt2.config);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("within 3904 bytes"));
  EXPECT_EQ(fake.products, 0u);
}

// --- wrong descriptions are found

class WrongDescription : public CudaProducts {
protected:
  /// Does a step with changed descriptions differ from the CPU's, or is it refused?
  bool isFound(const std::function<bool(executable::LibraryProduct &)> &change) {
    Built gpt2 = training(model(Architecture::Gpt2));
    auto cpu = session(gpt2, false);
    auto whole = compile(gpt2, true);
    executable::Executable message = whole->message();
    bool changed = false;
    for (executable::Kernel &kernel : *message.mutable_kernels())
      if (kernel.has_library())
        changed |= change(*kernel.mutable_library());
    EXPECT_TRUE(changed);
    DataSection data(whole->data().begin(), whole->data().end());
    try {
      auto gpu = session(std::make_shared<Executable>(message, data), &library);
      return !agree(step(*gpu, gpt2.config), step(*cpu, gpt2.config));
    } catch (const Error &error) {
      refusal = error.what();
      fake.complaint[0] = 0; // which was asked for
      return true;
    }
  }

  static bool isSquare(const executable::LibraryProduct &product) {
    return product.k().factors(0).mul() == product.n().factors(0).mul();
  }

  std::string refusal;
};

TEST_F(WrongDescription, NoneIsFoundWhereThereIsNone) {
  EXPECT_FALSE(isFound([](executable::LibraryProduct &) { return true; })) << refusal;
}

TEST_F(WrongDescription, ShortLines) {
  EXPECT_TRUE(isFound([](executable::LibraryProduct &product) {
    auto &step = *product.mutable_b()->mutable_step()->mutable_factors(0);
    step.set_mul(step.mul() - 1);
    return true;
  }));
  EXPECT_THAT(refusal, HasSubstr("library.b.step: "));
}

TEST_F(WrongDescription, LongLines) {
  EXPECT_TRUE(isFound([](executable::LibraryProduct &product) {
    auto &step = *product.mutable_a()->mutable_step()->mutable_factors(0);
    step.set_mul(step.mul() + 1);
    return true;
  }));
  EXPECT_THAT(refusal, HasSubstr("library.a: leaves its buffer"));
}

TEST_F(WrongDescription, ATranspositionTooMany) {
  EXPECT_TRUE(isFound([](executable::LibraryProduct &product) {
    if (!isSquare(product))
      return false;
    product.mutable_b()->set_transposed(!product.b().transposed());
    return true;
  }));
  EXPECT_EQ(refusal, ""); // by its numbers
}

TEST_F(WrongDescription, AMissingBias) {
  EXPECT_TRUE(isFound([](executable::LibraryProduct &product) {
    bool had = product.has_bias();
    product.clear_bias();
    return had;
  }));
}

TEST_F(WrongDescription, ABiasThatTheLibraryForgets) {
  fake.ignoresBias = true;
  EXPECT_TRUE(isFound([](executable::LibraryProduct &) { return true; }));
}

TEST_F(WrongDescription, AMissingResidual) {
  EXPECT_TRUE(isFound([](executable::LibraryProduct &product) {
    bool had = product.has_addend();
    product.clear_addend();
    return had;
  }));
}

TEST_F(WrongDescription, AnOffset) {
  EXPECT_TRUE(isFound([](executable::LibraryProduct &product) {
    product.mutable_a()->set_offset(product.a().offset() + 4);
    return true;
  }));
  EXPECT_THAT(refusal, HasSubstr("leaves its buffer"));
}

} // namespace
} // namespace lmc::test
