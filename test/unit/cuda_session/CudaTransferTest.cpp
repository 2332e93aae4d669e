// What the host sees of tensors on a GPU. The emulated driver copies when the stream gets there, so
// that memory which is written, read or given back too early shows.
#include "EmulatedDriver.h"
#include "TinyCudaExecutable.h"

#include "runtime/Session.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace lmc::test {
namespace {

class CudaTransfer : public testing::Test {
protected:
  Session session{tinyCudaExecutable(), SessionOptions{0, 1, &emulatedDriver()}};
};

TEST_F(CudaTransfer, SpansOfInputsAndOutputsStay) {
  std::span<float> x = session.f32("x"), y = session.f32("y");
  float total = 0;
  for (float value : {3.0f, 5.0f, -1.0f}) {
    std::ranges::fill(x, value);
    session.run("step");
    std::ranges::fill(x, 1000.0f); // the next batch, as early as a caller may write it
    total += value;
    EXPECT_EQ(y.front(), total);
    EXPECT_EQ(y.back(), total);
  }
}

TEST_F(CudaTransfer, TheNextBatchIsSentWhileTheGpuWorks) {
  std::span<float> x = session.f32("x"); // and nobody holds the output
  float total = 0;
  for (float value : {3.0f, 5.0f, -1.0f, 8.0f}) {
    std::ranges::fill(x, value);
    session.run("step");
    EXPECT_TRUE(isEmulatedGpuBusy());
    total += 2 * value;
  }
  std::ranges::fill(x, 1000.0f);
  EXPECT_EQ(session.f32("total")[0], total);
  EXPECT_EQ(session.f32("y")[0], total / 2);
  EXPECT_FALSE(isEmulatedGpuBusy());
}

TEST_F(CudaTransfer, InputsThatDidNotChangeAreNotSentAgain) {
  std::span<float> x = session.f32("x"), y = session.f32("y");
  std::ranges::fill(x, 2.0f);
  session.run("step");
  size_t before = emulatedUploads();
  session.run("step");
  EXPECT_EQ(emulatedUploads(), before);
  EXPECT_EQ(y[5], 4);
  x[5] = 3;
  session.run("step");
  EXPECT_EQ(emulatedUploads(), before + 1);
  EXPECT_EQ(y[5], 7);
  EXPECT_EQ(y[6], 6);
}

TEST_F(CudaTransfer, ReleasedOutputsStayOnTheGpuUntilTheyAreAskedFor) {
  std::ranges::fill(session.f32("x"), 2.0f);
  std::span<float> y = session.f32("y");
  session.run("step");
  EXPECT_EQ(y[0], 2);
  session.release("y");
  session.run("step");
  EXPECT_TRUE(isEmulatedGpuBusy()) << "nothing to wait for";
  EXPECT_EQ(y[0], 2);
  EXPECT_EQ(session.f32("y")[0], 4);
  session.run("step");
  EXPECT_EQ(y[0], 6) << "the same memory, and held again";
}

TEST_F(CudaTransfer, StateIsWhatTheRunsAndTheCallerLeft) {
  std::ranges::fill(session.f32("x"), 1.0f);
  session.run("step");
  EXPECT_EQ(session.f32("total")[0], 2); // a copy, which goes back with the next run
  session.run("step");
  std::span<float> total = session.f32("total");
  EXPECT_EQ(total[0], 4);
  total[0] = 100;
  session.run("step");
  EXPECT_EQ(session.f32("total")[0], 102);
  EXPECT_EQ(session.f32("total")[1], 6);
}

TEST_F(CudaTransfer, ARunCopiesPageLockedMemoryOnly) {
  std::span<float> x = session.f32("x"), y = session.f32("y");
  session.f32("total")[0] = 1;
  size_t before = emulatedPageableCopies();
  std::ranges::fill(x, 1.0f);
  session.run("step");
  EXPECT_EQ(y[0], 1.5f);
  EXPECT_EQ(emulatedPageableCopies(), before);
}

} // namespace
} // namespace lmc::test
