// Generated kernels through NVIDIA's compiler, where the toolkit is installed; no GPU is needed.
#include "Program.h"

#include "codegen/cuda/Nvrtc.h"
#include "codegen/cuda/Print.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

using namespace lmc;
using namespace lmc::test;

namespace {

class NvrtcTest : public testing::Test, public Context {
protected:
  void SetUp() override {
    std::string why;
    compiler = cuda::Nvrtc::open(&why);
    if (!compiler)
      GTEST_SKIP() << why;
    std::vector<cuda::Kernel> kernels;
    for (const Source &source : sources()) {
      Program program = makeProgram(*this, source, source.name);
      for (auto &[name, kernel] : program.kernels)
        kernels.push_back(kernel);
    }
    text = cuda::translationUnit(kernels);
    count = kernels.size();
  }

  const cuda::Nvrtc *compiler = nullptr;
  std::string text;
  size_t count = 0;
};

TEST_F(NvrtcTest, EveryListedKernelBecomesACubinWithoutSpills) {
  for (const char *architecture : {"sm_80", "sm_90a"}) {
    std::string log;
    std::vector<char> cubin = compiler->cubin(text, architecture, &log);
    ASSERT_GT(cubin.size(), 4u);
    EXPECT_EQ(std::string(cubin.data(), 4), "\177ELF");
    EXPECT_THAT(log, testing::Not(testing::HasSubstr("warning")));
    // ptxas: "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" for each kernel.
    std::regex spills("([0-9]+) bytes spill stores");
    size_t reported = 0;
    for (std::sregex_iterator i(log.begin(), log.end(), spills), end; i != end; ++i, ++reported)
      EXPECT_EQ((*i)[1], "0") << log;
    EXPECT_GE(reported, count) << log;
  }
}

TEST_F(NvrtcTest, PtxNamesItsTargetAndKernels) {
  std::string ptx = compiler->ptx(text, "sm_90a");
  EXPECT_THAT(ptx, testing::HasSubstr(".target sm_90a"));
  EXPECT_THAT(ptx, testing::HasSubstr(".entry softmax_long_row_0"));
}

TEST_F(NvrtcTest, RefusesBrokenTextWithTheCompilersLog) {
  try {
    compiler->cubin("extern \"C\" __global__ void f() { undeclared(); }", "sm_80");
    FAIL();
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("undeclared"));
  }
}

} // namespace
