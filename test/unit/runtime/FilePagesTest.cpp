// Pages of a file in a data section: the same bytes, whatever is copied and whatever mapped.
#include "runtime/FilePages.h"
#include "runtime/KernelAbi.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace lmc {
namespace {

class FilePages : public testing::Test {
protected:
  static constexpr size_t kBytes = 9 * 4096 + 77;

  void SetUp() override {
    char name[] = "/tmp/lmc-file-pages-XXXXXX";
    file = ::mkstemp(name);
    ASSERT_GE(file, 0);
    ::unlink(name);
    std::vector<unsigned char> bytes(kBytes);
    for (size_t i = 0; i < kBytes; ++i)
      bytes[i] = static_cast<unsigned char>(i * 2654435761u >> 13);
    ASSERT_EQ(::write(file, bytes.data(), kBytes), ssize_t(kBytes));
  }
  void TearDown() override { ::close(file); }

  std::span<const std::byte> map(int flags) {
    void *address = ::mmap(nullptr, kBytes, PROT_READ, flags, file, 0);
    EXPECT_NE(address, MAP_FAILED);
    return {static_cast<const std::byte *>(address), kBytes};
  }
  static void unmap(std::span<const std::byte> bytes) {
    ::munmap(const_cast<std::byte *>(bytes.data()), bytes.size());
  }

  int file = -1;
};

TEST_F(FilePages, PartsOfEveryLengthAreTheFilesBytes) {
  for (int flags : {MAP_SHARED, MAP_PRIVATE}) { // of private pages copies are made
    std::span<const std::byte> bytes = map(flags);
    for (size_t begin : {size_t(0), size_t(32), size_t(4096), size_t(4099)})
      for (size_t size : {size_t(1), size_t(4000), size_t(4096), size_t(12289), kBytes - begin}) {
        std::span<const std::byte> part = bytes.subspan(begin, size);
        DataSection data;
        data.reserve(64 + size + 8 + slackOfPages());
        data.resize(5);
        std::ranges::fill(data, std::byte(0x5a));
        appendPages(data, part);
        ASSERT_EQ((data.size() - size) % 4096, begin % 4096);
        data.push_back(std::byte(7)); // what follows is no page of the file
        EXPECT_TRUE(std::ranges::equal(part, std::span(data).last(size + 1).first(size)))
            << begin << ", " << size;
        EXPECT_EQ(data[4], std::byte(0x5a));
        EXPECT_EQ(data.back(), std::byte(7));
      }
    unmap(bytes);
  }
}

// The section keeps what it has when the file is closed, and sees it change: it is mapped, not copied.
TEST_F(FilePages, WholePagesAreTheFileItself) {
  std::span<const std::byte> bytes = map(MAP_SHARED);
  DataSection data;
  data.reserve(kBytes + slackOfPages());
  appendPages(data, bytes);
  std::byte before = data[3 * 4096];
  unmap(bytes);
  EXPECT_EQ(data[3 * 4096], before);
  auto other = std::byte(~unsigned(before) & 0xff);
  ASSERT_EQ(::pwrite(file, &other, 1, 3 * 4096), 1);
  EXPECT_EQ(data[3 * 4096], other);
}

TEST_F(FilePages, WhatIsForgottenIsReadAgain) {
  std::span<const std::byte> bytes = map(MAP_SHARED);
  std::vector<std::byte> before(bytes.begin(), bytes.end());
  forgetPages(bytes.subspan(100, 3 * 4096));
  EXPECT_TRUE(std::ranges::equal(bytes, before));
  unmap(bytes);
}

} // namespace
} // namespace lmc
