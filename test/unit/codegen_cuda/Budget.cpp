#include "Budget.h"

#include "codegen/cuda/Print.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lmc::test {

std::map<std::string, cuda::Resources>
resourcesInRegisters(const cuda::Nvrtc &compiler, const std::vector<cuda::Kernel> &kernels,
                     const std::string &architecture) {
  std::string log;
  std::vector<char> cubin = compiler.cubin(cuda::translationUnit(kernels), architecture, &log);
  EXPECT_THAT(cuda::warningsOf(log), testing::IsEmpty()) << architecture;
  std::map<std::string, cuda::Resources> result;
  for (const cuda::Kernel &kernel : kernels) {
    cuda::Resources used = cuda::resourcesOf(kernel, cubin, log);
    std::string what = kernel.name + " for " + architecture;
    EXPECT_EQ(used.localBytes + used.spillStoreBytes + used.spillLoadBytes, 0u) << what;
    EXPECT_EQ(used.instructions.ldl + used.instructions.stl, 0u) << what;
    result[kernel.name] = used;
  }
  return result;
}

} // namespace lmc::test
