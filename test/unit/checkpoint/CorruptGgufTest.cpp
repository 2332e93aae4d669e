// GGUF files that are not what they should be: an Error for each, and nothing outside the file read.
#include "TemporaryFolder.h"
#include "frontend/checkpoint/GgufFile.h"
#include "frontend/checkpoint/GgufHeader.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lmc {
namespace {

/// A file, piece by piece.
struct Bytes {
  std::string text;

  template <typename T> Bytes &add(T value) {
    text.append(reinterpret_cast<const char *>(&value), sizeof(value));
    return *this;
  }
  Bytes &u32(uint32_t value) { return add(value); }
  Bytes &u64(uint64_t value) { return add(value); }
  Bytes &string(std::string_view value) {
    u64(value.size());
    text += value;
    return *this;
  }
  Bytes &head(uint64_t tensors, uint64_t keys, uint32_t version = 3) {
    text += "GGUF";
    return u32(version).u64(tensors).u64(keys);
  }
  Bytes &tensor(std::string_view name, std::vector<uint64_t> dims, uint32_t type, uint64_t offset) {
    string(name).u32(uint32_t(dims.size()));
    for (uint64_t dim : dims)
      u64(dim);
    return u32(type).u64(offset);
  }
  Bytes &data(size_t count) {
    text.append((32 - text.size() % 32) % 32 + count, '\1');
    return *this;
  }
};

std::string errorOf(const std::filesystem::path &path) {
  try {
    GgufFile::open(path);
  } catch (const Error &error) {
    return error.what();
  }
  return "no error";
}

constexpr uint32_t f32 = 0, q4k = 12, u32Type = 4, boolType = 7, stringType = 8, arrayType = 9;

} // namespace

TEST(CorruptGguf, headers) {
  auto bytes = [] { return Bytes(); };
  auto key = [](std::string_view name, uint32_t type) {
    return Bytes().head(0, 1).string(name).u32(type);
  };
  auto tensor = [](std::vector<uint64_t> dims, uint32_t type, uint64_t offset = 0) {
    return Bytes().head(1, 0).tensor("a", std::move(dims), type, offset).data(64);
  };
  const std::pair<Bytes, const char *> cases[] = {
      {bytes(), "ends within the magic number at byte 0"},
      {bytes().string("GGUF"), "is no GGUF file"},
      {Bytes{"GGUF"}, "ends within the version"},
      {bytes().head(0, 0, 1), "has GGUF version 1, versions 2 and 3 are read (convert"},
      {bytes().head(0, 0, 4), "has GGUF version 4"},
      {bytes().head(0, 0, 0x03000000), "is a big-endian GGUF file"},
      {bytes().head(0, 1), "would have 1 metadata keys"},
      {bytes().head(uint64_t(1) << 60, 0), "would have 0 metadata keys and 1152921504606846976"},
      {bytes().head(0, 1).u64(1000).u64(0), "ends within the name of metadata key 0"},
      {bytes().head(0, 1).u64(70000).u64(0), "would be 70000 bytes long, at most 65535"},
      {bytes().head(0, 1).string("").u32(u32Type).u32(1), "metadata key 0 has no name"},
      {key("k", u32Type).add('\1'), "ends within metadata key 'k'"},
      {key("k", 13).u64(0), "metadata key 'k' has the unknown type 13"},
      {key("k", boolType).add('\2'), "metadata key 'k' is a bool of value 2"},
      {key("k\n", stringType).u64(UINT64_MAX), "metadata key 'k?' would be 18446744073709551615"},
      {key("k", arrayType).u32(u32Type).u64(uint64_t(1) << 62), "would have 4611686018427387904"},
      {key("k", arrayType).u32(stringType).u64(1000), "would have 1000 elements"},
      {key("k", arrayType).u32(77).u64(0), "has the unknown type 77"},
      {key("k", arrayType).u32(9).u64(1).u32(9).u64(1).u32(9).u64(1).u32(9).u64(1).u32(9).u64(0),
       "has arrays nested deeper than 4"},
      {bytes().head(0, 2).string("k").u32(u32Type).u32(1).string("k").u32(u32Type).u32(1),
       "metadata key 'k' is given twice"},
      {key("general.alignment", u32Type).u32(33), "is 33 (u32), expected a power of two"},
      {key("general.alignment", u32Type).u32(0), "is 0 (u32), expected a power of two"},
      {key("general.alignment", stringType).string("x"), "is \"x\" (string), expected a power"},
      {tensor({4}, 99), "tensor 'a' has the unknown type 99"},
      {tensor({4}, 4), "tensor 'a' has the unknown type 4"}, // removed from the format
      {tensor({1, 1, 1, 1, 1}, f32), "tensor 'a' has 5 dimensions"},
      {tensor({uint64_t(1) << 63}, f32), "tensor 'a' has the impossible extent"},
      {tensor({uint64_t(1) << 62}, f32), "has too many elements"},
      {tensor({uint64_t(1) << 32, uint64_t(1) << 32}, f32), "has too many elements"},
      {tensor({0, uint64_t(1) << 62, 1 << 10}, f32), "has too many elements"},
      {tensor({128, 2}, q4k), "is [2, 128], but rows of Q4_K are multiples of 256 elements"},
      {tensor({17}, f32), "needs 68 bytes at byte 0 of the data, which has 64"},
      {tensor({4}, f32, 64), "needs 16 bytes at byte 64 of the data, which has 64"},
      {tensor({4}, f32, UINT64_MAX - 31), "at byte 18446744073709551584"},
      {tensor({4}, f32, 8), "begins at byte 8 of the data, which is no multiple of 32"},
      {bytes().head(1, 0).string(std::string(65, 'x')).u64(0).u64(0), "at most 64 are read"},
      {bytes().head(2, 0).tensor("a", {4}, f32, 0).tensor("a", {4}, f32, 32).data(64),
       "tensor 'a' is in the header twice"},
      {bytes().head(2, 0).tensor("a", {16}, f32, 0).tensor("b", {4}, f32, 32).data(64),
       "tensors 'a' and 'b' overlap"},
  };
  TemporaryFolder folder;
  for (const auto &[content, message] : cases) {
    std::string error = errorOf(folder.write("bad.gguf", content.text));
    EXPECT_THAT(error, testing::HasSubstr(message));
    EXPECT_THAT(error, testing::HasSubstr("bad.gguf': "));
  }
}

TEST(CorruptGguf, version2IsReadToo) {
  TemporaryFolder folder;
  auto path = folder.write("m.gguf", Bytes().head(1, 0, 2).tensor("a", {4}, f32, 0).data(16).text);
  GgufFile file = GgufFile::open(path);
  EXPECT_EQ(file.version(), 2u);
  EXPECT_EQ(file.find("a")->bytes.size(), 16u);
}

/// Whether a header is accepted; then its tensors lie within the file.
bool accepted(const std::string &content) {
  try {
    GgufHeader header = parseGgufHeader(std::as_bytes(std::span(content)), "m.gguf");
    for (const GgufHeader::Entry &tensor : header.tensors)
      EXPECT_LE(header.dataBegin + tensor.offset + tensor.sizeInBytes, content.size());
    return true;
  } catch (const Error &) {
    return false;
  }
}

TEST(CorruptGguf, noPrefixAndNoChangedByteDoesHarm) {
  std::string whole = readBytes("test/data/gguf/blocks.gguf");
  ASSERT_TRUE(accepted(whole));
  for (size_t length = 0; length < whole.size(); length += length < 4096 ? 1 : 1009)
    EXPECT_FALSE(accepted(whole.substr(0, length))) << length;
  // A small file of every kind of thing, each bit changed in turn.
  Bytes small;
  small.head(2, 3).string("k").u32(arrayType).u32(stringType).u64(2).string("x").string("yz");
  small.string("general.alignment").u32(u32Type).u32(32).string("b").u32(boolType).add('\1');
  small.tensor("a", {32}, 8, 0).tensor("b", {2, 2}, f32, 64).data(80);
  ASSERT_TRUE(accepted(small.text));
  int refused = 0;
  for (size_t i = 0; i < small.text.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = small.text;
      changed[i] = char(changed[i] ^ (1 << bit));
      refused += !accepted(changed);
    }
  EXPECT_GT(refused, 800); // most of what is not text or data
}

} // namespace lmc
