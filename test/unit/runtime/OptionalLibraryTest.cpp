#include "runtime/OptionalLibrary.h"

#include <gmock/gmock.h>

#include <cstdint>
#include <fstream>
#include <unistd.h>

using namespace lmc;
using testing::AllOf;
using testing::HasSubstr;

namespace {

using Kernel = void(void *const *, const int64_t *, int64_t, int64_t, void *);

TEST(OptionalLibrary, FindsFunctionsInTheFirstFileThatOpens) {
  OptionalLibrary library(
      {"Kernels", {"liblmc-is-not-there.so.1", LMC_TEST_KERNELS}, "build them"});
  Kernel *multiply = nullptr;
  library.find(multiply, "multiply");
  ASSERT_NE(multiply, nullptr);
  EXPECT_EQ(library.missing(), "");
  float x = 3, w = 5, product = 0;
  void *buffers[] = {&x, &w, &product};
  multiply(buffers, nullptr, 0, 1, nullptr);
  EXPECT_EQ(product, 15);
}

TEST(OptionalLibrary, SaysWhatTheLoaderSaidOfEachFile) {
  std::string damaged = testing::TempDir() + "/damaged.so";
  std::ofstream(damaged) << "not a shared object, but longer than a header of one is: 64 bytes....";
  OptionalLibrary library({"Kernels", {"liblmc-is-not-there.so.1", damaged.c_str()}, "build them"});
  EXPECT_THAT(library.missing(),
              AllOf(HasSubstr("Kernels was not found (liblmc-is-not-there.so.1: cannot open shared "
                              "object file: No such file or directory; " +
                              damaged + ": "),
                    HasSubstr("invalid ELF header); build them")));
  unlink(damaged.c_str());
  Kernel *multiply = nullptr;
  library.find(multiply, "multiply");
  EXPECT_EQ(multiply, nullptr);
}

TEST(OptionalLibrary, SaysWhichFunctionIsNotThere) {
  OptionalLibrary library({"Kernels", {LMC_TEST_KERNELS}, "install newer ones"});
  Kernel *function = nullptr;
  for (const char *name : {"multiply", "divide", "subtract"})
    library.find(function, name);
  EXPECT_EQ(library.missing(), "Kernels (" LMC_TEST_KERNELS ") lacks divide; install newer ones");
}

} // namespace
