// The wrappers of sm_90a's instructions (hopper.cuh) and their host twins: a product whose tiles the
// tensor memory accelerator brings through a ring of two stages and a warpgroup multiplies from shared
// memory. Planted bugs are found in some order of threads; NVRTC compiles the same text.
#include "Emulator.h"

#include "codegen/cuda/Nvrtc.h"
#include "codegen/cuda/Print.h"
#include "codegen/cuda/Resources.h"
#include "codegen/cuda/device/emulated_tensor_map.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <span>

namespace lmc::test {
namespace {

/// c [64, 128] = a b, with a [64, k] or [k, 64] (transposed) and b [128, k] or [k, 128]. The last warp
/// copies, the others multiply; a comes from registers in the second kernel.
const char *const kProduct = R"(
template <bool TransposedA, bool TransposedB, bool Held>
__device__ __forceinline__ void multiply(const lmc::TensorMap &a, const lmc::TensorMap &b, float *c,
                                         int k) {
  constexpr int kBytesA = lmc::kTileBytes<64>, kBytesB = 2 * kBytesA, kStages = 2;
  unsigned char *const tiles = lmc::dynamicShared();
  auto *const full = reinterpret_cast<lmc::Barrier *>(tiles + kStages * (kBytesA + kBytesB));
  auto *const empty = full + kStages;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  if (thread == 0) {
    for (int i = 0; i < kStages; ++i) {
      lmc::initialise(full + i, 1);
      lmc::initialise(empty + i, 128);
    }
    lmc::publishBarriers();
  }
  __syncthreads();
  lmc::Ring<kStages> ring;
  if (warp == 4) {
    if (lane != 0)
      return;
    for (int d = 0; d < k; d += 64) {
      unsigned char *const to = tiles + ring.stage * (kBytesA + kBytesB);
      lmc::Barrier *const barrier = full + ring.stage;
      lmc::waitForPhase(empty + ring.stage, ring.parity ^ 1);
      lmc::arriveExpecting(barrier, kBytesA + kBytesB);
      lmc::copyTile(to, a, barrier, TransposedA ? lmc::Coordinates<2>{0, d} : lmc::Coordinates<2>{d, 0});
      for (int half = 0; half < (TransposedB ? 2 : 1); ++half)
        lmc::copyTile(to + kBytesA + half * kBytesA, b, barrier,
                      TransposedB ? lmc::Coordinates<3>{64 * half, d, 0} : lmc::Coordinates<3>{d, 0, 0});
      ring.advance();
    }
    return;
  }
  float sums[16][4];
  for (int d = 0; d < k; d += 64) {
    const unsigned char *const left = tiles + ring.stage * (kBytesA + kBytesB);
    const unsigned char *const right = left + kBytesA;
    lmc::waitForPhase(full + ring.stage, ring.parity);
    lmc::Fragment<4> held[4];
    for (int s = 0; s < 4 && Held; ++s)
      for (int i = 0; i < 4; ++i) {
        const int row = warp * 16 + lane / 4 + i % 2 * 8, at = 16 * s + lane % 4 * 2 + i / 2 * 8;
        const int place = row * 128 + at * 2;
        held[s].at[i] = *reinterpret_cast<const unsigned *>(left + (place ^ (place >> 7 & 7) << 4));
      }
    lmc::fenceProducts();
    for (int s = 0; s < 4; ++s) {
      const bool add = d + s > 0;
      const auto columns = TransposedB ? lmc::matrixAcross<64>(right, 16 * s)
                                       : lmc::matrixAlongDepth<128>(right, 16 * s);
      if constexpr (Held)
        lmc::startProduct<128, TransposedB>(sums, held[s], columns, add);
      else
        lmc::startProduct<128, TransposedA, TransposedB>(
            sums, TransposedA ? lmc::matrixAcross<64>(left, 16 * s) : lmc::matrixAlongDepth<64>(left, 16 * s),
            columns, add);
    }
    lmc::commitProducts();
    lmc::waitProducts<0>();
    lmc::keep(sums);
    lmc::arrive(empty + ring.stage);
    ring.advance();
  }
  for (int j = 0; j < 16; ++j)
    for (int i = 0; i < 4; ++i)
      c[(warp * 16 + lane / 4 + i / 2 * 8) * 128 + 8 * j + lane % 4 * 2 + i % 2] = sums[j][i];
}
)";

struct Variant {
  bool transposedA, transposedB, held;
  std::string name() const {
    return fmt::format("product_{}{}{}", transposedA ? "t" : "n", transposedB ? "t" : "n",
                       held ? "_held" : "");
  }
};
constexpr Variant kVariants[] = {{false, false, false}, {false, true, false}, {true, false, false},
                                 {true, true, false},   {false, false, true}, {false, true, true}};

constexpr unsigned kThreads = 160, kShared = 2 * 3 * 8192 + 32;

/// The kernels of these variants as NAME + suffix, for the emulation or for NVRTC.
std::string kernels(const std::string &product, std::span<const Variant> variants,
                    const std::string &suffix = "") {
  std::string text = "namespace product" + suffix + " {\n" + product + "}\n";
  for (const Variant &variant : variants) {
    std::string name = variant.name() + suffix;
    text += fmt::format(
        "extern \"C\" __global__ void __launch_bounds__({}) {}(const __grid_constant__ "
        "lmc::TensorMap a, const __grid_constant__ lmc::TensorMap b, float *c, int k) {{\n"
        "  product{}::multiply<{}, {}, {}>(a, b, c, k);\n}}\n",
        kThreads, name, suffix, variant.transposedA, variant.transposedB, variant.held);
  }
  return text;
}

uint16_t bf16(float exact) {
  uint32_t bits;
  std::memcpy(&bits, &exact, sizeof(bits));
  return static_cast<uint16_t>(bits >> 16);
}

/// A matrix of `across` x k small integers, k or `across` innermost, and its map.
struct Operand {
  Operand(int across, int k, bool transposed, uint32_t lines, int step, bool batched)
      : values(across * k), stored(across * k) {
    for (int i = 0; i < across; ++i)
      for (int d = 0; d < k; ++d)
        stored[transposed ? d * across + i : i * k + d] =
            bf16(values[i * k + d] = static_cast<float>((step * i + 5 * d) % 7 - 3));
    uint64_t inner = transposed ? across : k, outer = transposed ? k : across;
    uint64_t sizes[] = {inner, outer, 1}, strides[] = {2 * inner, 2 * inner * outer};
    uint32_t box[] = {64, transposed ? 64 : lines, 1};
    EXPECT_TRUE(emulation::encode(map, batched ? 3 : 2, stored.data(), sizes, strides, box));
  }
  std::vector<float> values;
  std::vector<uint16_t> stored;
  emulation::TensorMap map;
};

/// What is wrong with one variant's product of odd sizes (zeros beyond m, n and k), or "".
std::string evidence(const EmulatedText &text, const Variant &variant, unsigned seed,
                     const std::string &suffix = "") {
  constexpr int m = 56, n = 104, k = 200; // 4 steps of 64, the last one of 8
  Operand a(m, k, variant.transposedA, 64, 3, false), b(n, k, variant.transposedB, 128, 2, true);
  std::vector<float> c(64 * 128, -1);
  float *to = c.data();
  int depth = k;
  void *parameters[] = {&a.map, &b.map, &to, &depth};
  std::string fault = text.launch(variant.name() + suffix, 1, kThreads, kShared, seed, parameters);
  if (!fault.empty())
    return fault;
  for (int i = 0; i < 64; ++i)
    for (int j = 0; j < 128; ++j) {
      float expected = 0;
      for (int d = 0; d < k && i < m && j < n; ++d)
        expected += a.values[i * k + d] * b.values[j * k + d];
      if (c[i * 128 + j] != expected) // small integers: exact
        return fmt::format("({}, {}) is {}, expected {}", i, j, c[i * 128 + j], expected);
    }
  return "";
}

constexpr unsigned kSeeds[] = {0, 1, 2, 3, 4, 5};

TEST(Hopper, TilesBarriersAndWarpgroupsMakeAProduct) {
  EmulatedText text(cuda::deviceLibrary(), kernels(kProduct, kVariants));
  for (const Variant &variant : kVariants)
    for (unsigned seed : kSeeds)
      EXPECT_EQ(evidence(text, variant, seed), "") << variant.name() << ", seed " << seed;
}

struct Plant {
  const char *what, *good, *bad, *fault; ///< fault: a part of what some order must say
};
constexpr Plant kPlants[] = {
    {"no wait for a tile", "lmc::waitForPhase(full + ring.stage, ring.parity);", "", ""},
    {"wrong parity of a full stage", "waitForPhase(full + ring.stage, ring.parity)",
     "waitForPhase(full + ring.stage, ring.parity ^ 1)", ""},
    {"wrong parity of an empty stage", "waitForPhase(empty + ring.stage, ring.parity ^ 1)",
     "waitForPhase(empty + ring.stage, ring.parity)", "never ends"},
    {"no wait for an empty stage", "lmc::waitForPhase(empty + ring.stage, ring.parity ^ 1);", "",
     ""},
    {"too few bytes announced", "arriveExpecting(barrier, kBytesA + kBytesB)",
     "arriveExpecting(barrier, kBytesA)", "more bytes land"},
    {"too many bytes announced", "arriveExpecting(barrier, kBytesA + kBytesB)",
     "arriveExpecting(barrier, kBytesA + 2 * kBytesB)", "never ends"},
    {"the other stage is multiplied", "left = tiles + ring.stage *",
     "left = tiles + (1 - ring.stage) *", ""},
    {"no wait for products", "lmc::waitProducts<0>();", "", "without waiting for a product"},
    {"one group of products is not waited for", "lmc::waitProducts<0>();",
     "lmc::waitProducts<1>();", ""},
    {"no fence before products", "lmc::fenceProducts();", "", "without a fence"},
    {"a stage is never given back", "lmc::arrive(empty + ring.stage);", "", "never ends"},
    {"a stage is given back too often", "lmc::arrive(empty + ring.stage);",
     "lmc::arrive(empty + ring.stage); lmc::arrive(empty + ring.stage);", ""},
    {"a stage is given back before it is multiplied", "lmc::fenceProducts();",
     "lmc::arrive(empty + ring.stage); lmc::fenceProducts();", ""},
    {"barriers that are used before they are initialised", "__syncthreads();", "",
     "not initialised"},
    {"the next step's matrix", "lmc::matrixAlongDepth<64>(left, 16 * s)",
     "lmc::matrixAlongDepth<64>(left, 8 * s)", ""},
    {"a wrong distance between boxes", "lmc::matrixAcross<64>(right, 16 * s)",
     "lmc::matrixAcross<128>(right, 16 * s)", ""},
};

TEST(Hopper, FindsPlantedBugs) {
  std::span<const Variant> variants = std::span(kVariants).first(2);
  std::string all; // one text: the emulation's own headers take most of the time
  for (size_t i = 0; i < std::size(kPlants); ++i) {
    std::string product = kProduct;
    size_t at = product.find(kPlants[i].good);
    ASSERT_NE(at, std::string::npos) << kPlants[i].what;
    product.replace(at, std::strlen(kPlants[i].good), kPlants[i].bad);
    all += kernels(product, variants, fmt::format("_{}", i));
  }
  EmulatedText text(cuda::deviceLibrary(), all);
  for (size_t i = 0; i < std::size(kPlants); ++i) {
    std::vector<std::string> found;
    for (const Variant &variant : variants)
      for (unsigned seed : kSeeds)
        if (std::string what = evidence(text, variant, seed, fmt::format("_{}", i)); !what.empty())
          found.push_back(what);
    EXPECT_THAT(found, testing::Contains(testing::HasSubstr(kPlants[i].fault))) << kPlants[i].what;
  }
}

TEST(Hopper, NvrtcCompilesTheWrappers) {
  std::string why;
  const cuda::Nvrtc *compiler = cuda::Nvrtc::open(&why);
  if (!compiler)
    GTEST_SKIP() << why;
  std::string log;
  std::vector<char> cubin =
      compiler->cubin(cuda::deviceLibrary() + kernels(kProduct, kVariants), "sm_90a", &log);
  EXPECT_THAT(cuda::warningsOf(log), testing::IsEmpty());
  for (const Variant &variant : kVariants) {
    SCOPED_TRACE(variant.name());
    cuda::InstructionCounts counts = cuda::instructionsOf(cubin, variant.name());
    EXPECT_EQ(counts.hgmma, 4u);
    EXPECT_EQ(counts.utmaldg, variant.transposedB ? 3u : 2u);
    EXPECT_EQ(counts.ldl + counts.stl, 0u);
  }
}

} // namespace
} // namespace lmc::test
