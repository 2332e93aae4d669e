// Which recorded graphs are kept, and what a recording that fails leaves behind.
#include "EmulatedDriver.h"

#include "runtime/CudaGraphs.h"
#include "runtime/Error.h"

#include <gtest/gtest.h>

namespace lmc::test {
namespace {

class CudaGraphsTest : public testing::Test {
protected:
  /// Runs the graph for T = `length`, which fills the memory with that number. True if it had to be
  /// recorded.
  bool run(int length) {
    bool isNew = false;
    CudaDriver::GraphExec graph =
        graphs.of({{length}, 0}, stream, [&] { isNew = true; }, [&] { fill(length); });
    driver.check(driver.cuGraphLaunch(graph, stream.handle), "start");
    EXPECT_EQ(content(), length);
    return isNew;
  }

  void fill(int value) {
    driver.check(
        driver.cuMemsetD8Async(memory.data(), static_cast<unsigned char>(value), 1, stream.handle),
        "fill");
  }

  int content() {
    std::byte byte;
    stream.download({&byte, 1}, memory.data());
    stream.wait("test");
    return static_cast<int>(byte);
  }

  const CudaDriver &driver = emulatedDriver();
  CudaContext context{driver};
  CudaStream stream{driver};
  DeviceMemory memory{1, stream};
  CudaGraphs graphs{2};
};

TEST_F(CudaGraphsTest, TheLeastRecentlyUsedGoes) {
  EXPECT_TRUE(run(1)); // the smallest choice, as that of a decode step
  EXPECT_TRUE(run(7));
  EXPECT_FALSE(run(1));
  EXPECT_TRUE(run(5)); // in place of 7
  EXPECT_FALSE(run(1));
  EXPECT_TRUE(run(7)); // in place of 5
  EXPECT_FALSE(run(1));
}

TEST_F(CudaGraphsTest, SlotsHaveTheirOwn) {
  EXPECT_TRUE(run(1));
  bool isNew = false;
  graphs.of({{1}, 1}, stream, [&] { isNew = true; }, [] {});
  EXPECT_TRUE(isNew);
  EXPECT_FALSE(run(1));
}

TEST_F(CudaGraphsTest, AFailedRecordingLeavesTheStreamRunning) {
  EXPECT_THROW(graphs.of(
                   {{3}, 0}, stream, [] {},
                   [&] {
                     fill(3);
                     fail("a launch is refused");
                   }),
               Error);
  fill(9);
  EXPECT_EQ(content(), 9); // what was recorded did not run, and what comes now does
  EXPECT_TRUE(run(3));     // nothing half recorded was kept
}

} // namespace
} // namespace lmc::test
