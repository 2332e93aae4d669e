#include "serve/Address.h"

#include "runtime/Error.h"

#include <gtest/gtest.h>

namespace lmc {
namespace {

TEST(Address, ReadsWhatUsersType) {
  EXPECT_EQ(parseAddress("127.0.0.1:80", "--grpc").text(), "127.0.0.1:80");
  EXPECT_EQ(parseAddress("localhost:0", "--grpc").port, 0);
  EXPECT_EQ(parseAddress(":9464", "--grpc").text(), "0.0.0.0:9464");
  EXPECT_EQ(parseAddress("[::1]:443", "--grpc").host, "::1");
  EXPECT_EQ(parseAddress("[::1]:443", "--grpc").text(), "[::1]:443");
  EXPECT_EQ(parseAddress("unix:/run/x:1.sock", "--grpc").path, "/run/x:1.sock");
}

TEST(Address, RefusesTheRest) {
  for (const char *text :
       {"", "localhost", "localhost:", "localhost:x", "localhost:-1", "localhost:65536",
        "localhost:80x", "::1:80", "unix:", "localhost:99999999999999999999"})
    EXPECT_THROW(parseAddress(text, "--http"), UsageError) << text;
}

TEST(Address, ErrorsNameTheOption) {
  try {
    parseAddress("localhost", "--http");
    FAIL();
  } catch (const UsageError &error) {
    EXPECT_STREQ(error.what(), "--http 'localhost': no port, expected host:port or unix:PATH");
  }
}

} // namespace
} // namespace lmc
