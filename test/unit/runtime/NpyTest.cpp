#include "runtime/Npy.h"

#include "TinyExecutable.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

using namespace lmc;
using namespace lmc::test;

TEST(Npy, IsWhatNumPyWrites) {
  // numpy.save of [[0, 1.5, -2], [3.25, 1e-30, inf]] as float32 (NumPy 2.4.6).
  std::string header = "934e554d5059010076007b276465736372273a20273c6634272c2027666f727472616e5f6f"
                       "72646572273a2046616c73652c20277368617065273a2028322c2033292c207d20";
  for (int i = 0; i < 57; ++i)
    header += "20";
  std::string values = "0a000000000000c03f000000c0000050406042a20d0000807f";

  Folder folder;
  std::vector<float> array = {0, 1.5f, -2, 3.25f, 1e-30f, std::numeric_limits<float>::infinity()};
  writeNpy(folder / "a.npy", array, 2, 3);
  std::string hex;
  for (unsigned char byte : readFile(folder / "a.npy"))
    hex += fmt::format("{:02x}", byte);
  EXPECT_EQ(hex, header + values);
}
