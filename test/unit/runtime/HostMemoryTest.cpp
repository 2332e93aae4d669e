#include "runtime/HostMemory.h"

#include <gtest/gtest.h>

#include <fstream>

namespace lmc {
namespace {

TEST(HostMemory, TheLowestLimitOfTheGroupAndThoseAboveItCounts) {
  auto root = std::filesystem::path(testing::TempDir()) / "lmc-cgroups";
  std::filesystem::remove_all(root);
  std::filesystem::create_directories(root / "a" / "b");
  auto write = [&](const std::filesystem::path &path, std::string_view text) {
    std::ofstream(root / path) << text << '\n';
  };
  write("member", "1:memory:/elsewhere\n0::/a/b");
  auto bytes = [&] { return hostMemoryBytes(root / "member", root); };
  int64_t all = hostMemoryBytes("", "");
  EXPECT_GT(all, 1 << 20);
  EXPECT_EQ(bytes(), all) << "no limits";
  write("a/b/memory.max", "max");
  EXPECT_EQ(bytes(), all);
  write("a/memory.max", "1048576");
  EXPECT_EQ(bytes(), 1048576);
  write("a/b/memory.max", "524288");
  EXPECT_EQ(bytes(), 524288);
  write("memory.max", "4096");
  EXPECT_EQ(bytes(), 4096);
}

} // namespace
} // namespace lmc
