// Files that are not what they should be: an Error for each, and never wrong weights.
#include "TemporaryFolder.h"
#include "frontend/checkpoint/SafetensorsFile.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lmc {

static std::string withHeader(const std::string &json, size_t dataBytes) {
  uint64_t length = json.size();
  return std::string(reinterpret_cast<const char *>(&length), 8) + json +
         std::string(dataBytes, '\1');
}

static std::string errorOf(const std::filesystem::path &path) {
  try {
    SafetensorsFile::open(path);
  } catch (const Error &error) {
    return error.what();
  }
  return "no error";
}

struct Corruption {
  std::string json;
  size_t dataBytes;
  const char *message;
};

TEST(CorruptSafetensors, headers) {
  auto one = [](const std::string &dtype, const std::string &shape, const std::string &offsets) {
    return "{\"a\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
           "}}";
  };
  auto two = [](const std::string &first, const std::string &second) {
    return R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)" + first +
           R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" + second + "}}";
  };
  const std::vector<Corruption> cases{
      {"", 0, "header must start with '{'"},
      {" {}", 0, "header must start with '{'"},
      {"{", 0, "header is not valid JSON"},
      {"{}x", 0, "header is not valid JSON"},
      {"{\"\xFF\":1}", 0, "header is not valid JSON"},
      {"{}", 1, "the tensors take 0 bytes, the file has 1"},
      {R"({"a":1})", 0, "must have exactly dtype, shape and data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[1]}})", 4, "must have exactly"},
      {one("\"F99\"", "[1]", "[0,4]"), 4, "unknown dtype \"F99\""},
      {one("7", "[1]", "[0,4]"), 4, "unknown dtype 7"},
      {one("\"F32\"", "1", "[0,4]"), 4, "shape must be an array"},
      {one("\"F32\"", "[-1]", "[0,4]"), 4, "dimensions must be integers >= 0, got -1"},
      {one("\"F32\"", "[1.0]", "[0,4]"), 4, "dimensions must be integers >= 0, got 1.0"},
      {one("\"F32\"", "[4294967296,4294967296]", "[0,4]"), 4, "too many elements"},
      {one("\"F32\"", "[18446744073709551615]", "[0,4]"), 4, "too many elements"},
      {one("\"F32\"", "[4611686018427387904,4]", "[0,0]"), 0, "too many elements"},
      {one("\"F32\"", "[1]", "[0,8]"), 8, "needs 4 bytes, data_offsets [0, 8]"},
      {one("\"F32\"", "[1]", "[4,0]"), 8, "needs 4 bytes, data_offsets [4, 0]"},
      {one("\"F32\"", "[1]", "[-4,0]"), 8, "data_offsets must be integers >= 0"},
      {one("\"F32\"", "[1]", "[0]"), 8, "data_offsets must be [begin, end]"},
      {one("\"F32\"", "[1]", "[4,8]"), 8,
       "begins at byte 4 of the data, the one before it ends at 0"},
      {one("\"F32\"", "[1]", "[0,4]"), 3, "is it truncated?"},
      {one("\"F32\"", "[1]", "[0,4]"), 5, "the tensors take 4 bytes, the file has 5"},
      {one("\"F32\"", "[1]", "[18446744073709551612,18446744073709551615]"), 4, "needs 4 bytes"},
      {two("[0,4]", "[0,4]"), 4, "tensor 'b' begins at byte 0"},
      {two("[0,4]", "[2,6]"), 6, "tensor 'b' begins at byte 2"},
      {two("[0,4]", "[8,12]"), 12, "tensor 'b' begins at byte 8"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       4, "the member 'a' comes twice"},
      {R"({"a":{"dtype":"F32","dtype":"I32","shape":[1],"data_offsets":[0,4]}})", 4,
       "the member 'dtype' comes twice"},
      {R"({"__metadata__":{"a":1e999}})", 0, "number overflow"},
      {R"({"__metadata__":[]})", 0, "'__metadata__' must be an object"},
      {R"({"__metadata__":{"a":1}})", 0, "'a' must be a string"},
      {R"({"__metadata__":{"lmc.xxh3":"0123"}})", 0, "is damaged"},
      {"{\"a\":" + std::string(100000, '['), 0, "nested deeper than 8"},
  };
  TemporaryFolder folder;
  for (const Corruption &corruption : cases) {
    std::filesystem::path path =
        folder.write("x.safetensors", withHeader(corruption.json, corruption.dataBytes));
    std::string message = errorOf(path);
    EXPECT_THAT(message, testing::HasSubstr(corruption.message)) << corruption.json.substr(0, 200);
    EXPECT_THAT(message, testing::StartsWith("'" + path.string() + "': "));
  }
}

TEST(CorruptSafetensors, lengths) {
  TemporaryFolder folder;
  EXPECT_THAT(errorOf(folder / "none"), testing::HasSubstr("cannot be opened"));
  EXPECT_THAT(errorOf(folder.path), testing::HasSubstr("not a regular file"));
  EXPECT_THAT(errorOf(folder.write("a", "")), testing::HasSubstr("it has only 0 bytes"));
  EXPECT_THAT(errorOf(folder.write("a", "1234567")), testing::HasSubstr("it has only 7 bytes"));
  EXPECT_THAT(errorOf(folder.write("a", std::string(8, '\xFF'))), testing::HasSubstr("at most"));
  EXPECT_THAT(errorOf(folder.write("a", std::string("\x10\0\0\0\0\0\0\0{}", 10))),
              testing::HasSubstr("header would be 16 bytes long, the file has 2"));
}

/// Everything a caller can see of the weights.
static std::map<std::string, std::string> contentOf(const SafetensorsFile &file) {
  std::map<std::string, std::string> content;
  for (const std::string &name : file.names()) {
    const TensorView &view = *file.find(name);
    content[name] =
        std::string(nameOf(view.type)) + shapeText(view.shape) +
        std::string(reinterpret_cast<const char *>(view.bytes.data()), view.bytes.size());
  }
  return content;
}

class DamagedFile : public testing::Test {
protected:
  DamagedFile() {
    std::vector<float> values{1, 2, 3, 4, 5, 6};
    std::vector<uint16_t> halves{1, 2, 3, 4};
    writeSafetensors(folder / "m.safetensors",
                     {{"w", {TensorType::F32, {2, 3}, std::as_bytes(std::span(values))}},
                      {"b", {TensorType::BF16, {4}, std::as_bytes(std::span(halves))}}},
                     {{"step", "3"}});
    whole = readBytes(folder / "m.safetensors");
    content = contentOf(SafetensorsFile::open(folder / "m.safetensors"));
  }
  TemporaryFolder folder;
  std::string whole;
  std::map<std::string, std::string> content;
};

TEST_F(DamagedFile, everyOtherLengthIsAnError) {
  std::filesystem::path path = folder.write("x", whole + '\0');
  for (size_t size = whole.size() + 1; size-- > 0;) {
    EXPECT_EQ(errorOf(path) == "no error", size + 1 == whole.size()) << size + 1;
    std::filesystem::resize_file(path, size);
  }
}

TEST_F(DamagedFile, noFlippedBitChangesWeights) {
  std::filesystem::path path = folder.write("x", whole);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  auto put = [&](size_t at, char byte) {
    file.seekp(std::streamoff(at));
    file.put(byte).flush();
  };
  int accepted = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      put(at, char(whole[at] ^ 1 << bit));
      try {
        EXPECT_EQ(contentOf(SafetensorsFile::open(path)), content) << at << ", bit " << bit;
        ++accepted;
      } catch (const Error &) {
      }
    }
    put(at, whole[at]);
  }
  ASSERT_TRUE(file.good());
  EXPECT_EQ(contentOf(SafetensorsFile::open(path)), content);
  // Only a flip in the checksum's own key goes unnoticed.
  EXPECT_LE(accepted, 8 * 8);
}

} // namespace lmc
