// The wrappers of instructions (ptx.cuh): a product through asynchronous copies, ldmatrix and mma.
// What a GPU makes of the same text is for a machine with one; here NVRTC compiles it and the host
// twins run it.
#include "Emulator.h"

#include "codegen/cuda/Nvrtc.h"
#include "codegen/cuda/Print.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace lmc::test {
namespace {

/// One warp: c [16, 8] = a [16, 16] * b, b given as [8, 16] (as it lies) or as [16, 8] (transposed by
/// ldmatrix). `%WAIT%` is where a planted bug goes.
const char *const kProduct = R"(
extern "C" __global__ void product(const lmc::bfloat16 *a, const lmc::bfloat16 *b, float *c, int lies) {
  auto *as = reinterpret_cast<lmc::bfloat16 *>(lmc::dynamicShared());
  auto *bs = as + 16 * 16;
  const int lane = static_cast<int>(threadIdx.x);
  lmc::copyAsync<16>(as + 8 * lane, a + 8 * lane, 16);
  lmc::commitCopies();
  if (lane < 16)
    lmc::copyAsync<16>(bs + 8 * lane, b + 8 * lane, 16);
  else
    lmc::copyAsync<8>(bs + 8 * lane, b, 0); // zeros behind b
  lmc::commitCopies();
  lmc::waitCopies<%WAIT%>();
  %BARRIER%
  const lmc::Fragment<4> left = lmc::loadMatrices<false>(as + lane % 16 * 16 + lane / 16 * 8);
  lmc::Fragment<4> both;
  if (lies)
    both = lmc::loadMatrices<false>(bs + lane % 8 * 16 + lane / 8 % 2 * 8);
  else
    both = lmc::loadMatrices<true>(bs + lane % 16 * 8);
  const lmc::Fragment<2> right = {both.at[0], both.at[1]};
  float sums[4] = {};
  lmc::multiplyAdd(sums, left, right);
  for (int i = 0; i < 4; ++i)
    c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
}
)";

std::string product(const char *wait, const char *barrier) {
  std::string text = kProduct;
  text.replace(text.find("%WAIT%"), 6, wait);
  text.replace(text.find("%BARRIER%"), 9, barrier);
  return text;
}

uint16_t bf16(float exact) {
  uint32_t bits;
  std::memcpy(&bits, &exact, sizeof(bits));
  return static_cast<uint16_t>(bits >> 16);
}

/// Does the product come out right, with b in both layouts, in this order of threads?
bool isRight(const EmulatedText &kernels, unsigned seed) {
  for (int lies : {1, 0}) {
    float a[16][16], b[16][8];
    uint16_t as[16][16], bs[16 * 8];
    for (int k = 0; k < 16; ++k) {
      for (int i = 0; i < 16; ++i)
        as[i][k] = bf16(a[i][k] = static_cast<float>((3 * i + 5 * k) % 7 - 3));
      for (int j = 0; j < 8; ++j)
        bs[lies ? j * 16 + k : k * 8 + j] =
            bf16(b[k][j] = static_cast<float>((2 * j + 3 * k) % 5 - 2));
    }
    float c[16][8];
    void *pa = as, *pb = bs, *pc = c;
    void *parameters[] = {&pa, &pb, &pc, &lies};
    if (!kernels.launch("product", 1, 32, 2 * (16 * 16 + 32 * 8), seed, parameters).empty())
      return false;
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 8; ++j) {
        float expected = 0;
        for (int k = 0; k < 16; ++k)
          expected += a[i][k] * b[k][j];
        if (c[i][j] != expected) // small integers: exact
          return false;
      }
  }
  return true;
}

std::vector<bool> rightInOrders(const std::string &text) {
  EmulatedText kernels(cuda::deviceLibrary(), text);
  std::vector<bool> right;
  for (unsigned seed : {0, 1, 2, 3})
    right.push_back(isRight(kernels, seed));
  return right;
}

TEST(Ptx, CopiesLdmatrixAndMmaMakeAProduct) {
  EXPECT_EQ(rightInOrders(product("0", "__syncwarp();")), std::vector<bool>(4, true));
}

TEST(Ptx, AMissingWaitShowsInLazyOrders) {
  std::vector<bool> right = rightInOrders(product("1", "__syncwarp();"));
  EXPECT_TRUE(right[0]); // copies land at once
  EXPECT_FALSE(right[1]);
}

TEST(Ptx, NvrtcCompilesTheWrappers) {
  std::string why;
  const cuda::Nvrtc *compiler = cuda::Nvrtc::open(&why);
  if (!compiler)
    GTEST_SKIP() << why;
  std::string text = compiler->ptx(cuda::deviceLibrary() + product("0", "__syncwarp();"), "sm_80");
  for (const char *instruction :
       {"cp.async.cg.shared.global", "cp.async.ca.shared.global", "cp.async.wait_group 0",
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16",
        "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16",
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"})
    EXPECT_NE(text.find(instruction), std::string::npos) << instruction;
}

} // namespace
} // namespace lmc::test
