#include "frontend/checkpoint/SafetensorsFile.h"

#include "TemporaryFolder.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <bit>
#include <cmath>
#include <cstring>

namespace lmc {

template <typename T> static std::span<const std::byte> bytesOf(const std::vector<T> &values) {
  return std::as_bytes(std::span(values));
}

static std::vector<float> asF32(const TensorView &view) {
  std::vector<float> values(view.numElements());
  readAsF32(view, values);
  return values;
}

TEST(Safetensors, readsWhatTheReferenceLibraryWrote) {
  SafetensorsFile file = SafetensorsFile::open("test/data/checkpoint/reference.safetensors");
  nlohmann::json expected = nlohmann::json::parse(readBytes("test/data/checkpoint/reference.json"));
  EXPECT_EQ(file.names().size(), expected.size());
  EXPECT_EQ(file.metadata().at("note"), "h\xC3\xA9");
  for (const auto &[name, row] : expected.items()) {
    const TensorView *view = file.find(name);
    ASSERT_TRUE(view) << name;
    EXPECT_EQ(view->shape, row["shape"].get<std::vector<int64_t>>()) << name;
    if (view->type != TensorType::F32 && view->type != TensorType::F16) {
      std::vector<float> values(view->numElements());
      EXPECT_THROW(readAsF32(*view, values), Error) << name;
      continue;
    }
    std::vector<uint32_t> bits;
    for (float value : asF32(*view))
      bits.push_back(std::bit_cast<uint32_t>(value));
    EXPECT_EQ(bits, row["f32_bits"].get<std::vector<uint32_t>>()) << name;
  }
  EXPECT_EQ(file.find("ids")->type, TensorType::I64);
  EXPECT_EQ(file.find("flag")->type, TensorType::Bool);
  EXPECT_EQ(file.find("nothing"), nullptr);
}

TEST(Safetensors, writtenFilesComeBack) {
  TemporaryFolder folder;
  std::vector<float> weights{1.5f, -2.0f, INFINITY, 0.0f, 5.0f, 6.0f};
  std::vector<uint16_t> halves{0x3F80, 0xC000, 0x7F80};
  std::vector<double> doubles{0.1};
  std::vector<uint8_t> flags{1, 0, 1};
  std::vector<NamedTensor> tensors{{"z", {TensorType::U8, {3}, bytesOf(flags)}},
                                   {"b", {TensorType::BF16, {3, 1}, bytesOf(halves)}},
                                   {"w", {TensorType::F32, {2, 3}, bytesOf(weights)}},
                                   {"d", {TensorType::F64, {}, bytesOf(doubles)}},
                                   {"none", {TensorType::F32, {0, 7}, {}}}};
  writeSafetensors(folder / "m.safetensors", tensors, {{"step", "12 \"quoted\""}});
  SafetensorsFile file = SafetensorsFile::open(folder / "m.safetensors");
  EXPECT_EQ(file.names(), (std::vector<std::string>{"b", "d", "none", "w", "z"}));
  EXPECT_EQ(file.metadata().at("step"), "12 \"quoted\"");
  EXPECT_EQ(file.metadata().at("format"), "pt");
  for (const NamedTensor &tensor : tensors) {
    const TensorView *view = file.find(tensor.name);
    ASSERT_TRUE(view);
    EXPECT_EQ(view->type, tensor.view.type);
    EXPECT_EQ(view->shape, tensor.view.shape);
    ASSERT_EQ(view->bytes.size(), tensor.view.bytes.size());
    EXPECT_TRUE(std::equal(view->bytes.begin(), view->bytes.end(), tensor.view.bytes.begin()));
    // Aligned in the file, and so in memory.
    EXPECT_EQ(reinterpret_cast<uintptr_t>(view->bytes.data()) % sizeBytes(view->type), 0u);
  }
  EXPECT_EQ(asF32(*file.find("b")), (std::vector<float>{1.0f, -2.0f, INFINITY}));

  uint64_t headerBytes = 0;
  std::string raw = readBytes(folder / "m.safetensors");
  std::memcpy(&headerBytes, raw.data(), 8);
  EXPECT_EQ(headerBytes % 8, 0u);

  // The order of the list does not matter: the same bytes.
  std::reverse(tensors.begin(), tensors.end());
  writeSafetensors(folder / "n.safetensors", tensors, {{"step", "12 \"quoted\""}});
  EXPECT_EQ(readBytes(folder / "n.safetensors"), raw);
}

TEST(Safetensors, aFileWithoutTensors) {
  TemporaryFolder folder;
  writeSafetensors(folder / "m.safetensors", {});
  EXPECT_TRUE(SafetensorsFile::open(folder / "m.safetensors").names().empty());
}

TEST(Safetensors, writerRefusesWhatDoesNotFit) {
  TemporaryFolder folder;
  std::vector<float> two{1, 2};
  auto message = [&](std::vector<NamedTensor> tensors) {
    try {
      writeSafetensors(folder / "m.safetensors", std::move(tensors));
    } catch (const Error &error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  NamedTensor good{"a", {TensorType::F32, {2}, bytesOf(two)}};
  EXPECT_THAT(message({good, good}), testing::HasSubstr("tensor name 'a' cannot be written twice"));
  EXPECT_THAT(message({{"a", {TensorType::F32, {3}, bytesOf(two)}}}),
              testing::HasSubstr("F32 [3] needs 12 bytes, got 8"));
  EXPECT_THAT(message({{"a", {TensorType::Q4_0, {32}, bytesOf(two)}}}),
              testing::HasSubstr("safetensors has no type Q4_0"));
  EXPECT_THAT(message({{"a", {TensorType::F32, {-2}, bytesOf(two)}}}),
              testing::HasSubstr("impossible shape [-2]"));
  EXPECT_THAT(message({{"\xFF", {TensorType::F32, {2}, bytesOf(two)}}}),
              testing::HasSubstr("must be UTF-8"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path));
}

TEST(ConvertToF32, specialValues) {
  EXPECT_TRUE(std::isnan(halfToFloat(0x7E00)));
  EXPECT_TRUE(std::isnan(bfloat16ToFloat(0x7FC0)));
  EXPECT_EQ(bfloat16ToFloat(0x0001), 0x1p-133f);
  EXPECT_TRUE(std::signbit(halfToFloat(0x8000)));
}

} // namespace lmc
