// A launch that fails on the GPU: what the error says, with and without LMC_CUDA_SYNC.
#include "EmulatedDriver.h"
#include "TinyCudaExecutable.h"

#include "runtime/DeviceLost.h"
#include "runtime/Session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

namespace lmc::test {
namespace {

const std::string kHowToFind = "unspecified launch failure (CUDA error 719); the GPU does not say "
                               "which launch that was: run it "
                               "again with LMC_CUDA_SYNC=1, which names the op";

class CudaFault : public testing::Test {
protected:
  ~CudaFault() override { unsetenv("LMC_CUDA_SYNC"); }

  std::unique_ptr<Session> start(bool oneByOne) {
    setenv("LMC_CUDA_SYNC", oneByOne ? "1" : "0", 1);
    SessionOptions options;
    options.cuda = &emulatedDriver();
    auto session = std::make_unique<Session>(tinyCudaExecutable(), options);
    std::ranges::fill(session->f32("x"), 3.0f);
    return session;
  }

  template <typename Call> static std::string errorOf(Call &&call) {
    try {
      call();
    } catch (const Error &error) {
      return error.what();
    }
    return "no error";
  }
};

TEST_F(CudaFault, OneByOneNamesKernelOpsAndPath) {
  auto first = start(true);
  failEmulatedLaunch(0);
  EXPECT_EQ(errorOf([&] { first->run("step"); }),
            "cannot finish kernel 'twice' (lm.mul) at 'layers.0.twice': "
            "unspecified launch failure (CUDA error 719)");
  auto second = start(true);
  failEmulatedLaunch(1);
  EXPECT_EQ(errorOf([&] { second->run("step"); }),
            "cannot finish kernel 'add_up' (lm.add, lm.mul) at 'layers.1.total': "
            "unspecified launch failure (CUDA error 719)");
}

TEST_F(CudaFault, AGraphSaysHowToFindTheLaunch) {
  auto session = start(false);
  session->f32("y");
  failEmulatedLaunch(1);
  EXPECT_EQ(errorOf([&] { session->run("step"); }), "cannot finish step: " + kHowToFind);
  EXPECT_NE(errorOf([&] { session->run("step"); }).find(kHowToFind), std::string::npos)
      << "a fault stays";
  EXPECT_THROW(session->run("step"), DeviceLost);
}

TEST_F(CudaFault, WhoeverWaitsFirstHearsOfIt) {
  auto session = start(false);
  failEmulatedLaunch(0);
  session->run("step"); // nobody holds its output
  EXPECT_EQ(errorOf([&] { session->f32("total"); }),
            "cannot finish copying a tensor from the GPU: " + kHowToFind);
}

TEST_F(CudaFault, OneByOneComputesTheSame) {
  for (bool oneByOne : {false, true}) {
    auto session = start(oneByOne);
    session->run("step");
    session->f32("x")[1] = 5;
    session->run("step");
    EXPECT_EQ(session->f32("y")[0], 6) << oneByOne;
    EXPECT_EQ(session->f32("y")[1], 8) << oneByOne;
  }
}

} // namespace
} // namespace lmc::test
