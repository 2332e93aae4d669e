#include "runtime/ByteSize.h"

#include <gtest/gtest.h>

using namespace lmc;

TEST(ByteSize, ReadsUnitsAndFractions) {
  EXPECT_EQ(parseByteSize("2GiB"), int64_t(2) << 30);
  EXPECT_EQ(parseByteSize("1500 MiB"), int64_t(1500) << 20);
  EXPECT_EQ(parseByteSize("1.5KiB"), 1536);
  EXPECT_EQ(parseByteSize("0.1KiB"), 102);
  EXPECT_EQ(parseByteSize("800MB"), 800000000);
  EXPECT_EQ(parseByteSize("3TB"), 3000000000000);
  EXPECT_EQ(parseByteSize("4096"), 4096);
  EXPECT_EQ(parseByteSize("4096B"), 4096);
}

TEST(ByteSize, RefusesWhatIsNoSize) {
  for (const char *text : {"", "GiB", "-1GiB", "0", "0MiB", "1.5", "1.5B", "2gib", "2 G", "2GiBs",
                           "2e9", "inf", "nan", "1e400GiB", "99999999TiB", "2 GiB ", " 2GiB"})
    EXPECT_EQ(parseByteSize(text), std::nullopt) << text;
}

TEST(ByteSize, WritesWhatReadsBack) {
  EXPECT_EQ(formatByteSize(int64_t(2) << 30), "2GiB");
  EXPECT_EQ(formatByteSize(1536), "1536");
  EXPECT_EQ(formatByteSize(800000000), "781250KiB");
  for (int64_t bytes : {int64_t(1), int64_t(1023), int64_t(1) << 20, int64_t(123456789)})
    EXPECT_EQ(parseByteSize(formatByteSize(bytes)), bytes);
}
