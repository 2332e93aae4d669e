#include "frontend/checkpoint/GgufFile.h"

#include "TemporaryFolder.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace lmc {
namespace {

template <typename Call> std::string errorOf(Call call) {
  try {
    call();
  } catch (const Error &error) {
    return error.what();
  }
  return "no error";
}

template <typename T> GgufValue arrayOf(std::vector<T> values) {
  return GgufArray{std::move(values)};
}

} // namespace

TEST(Gguf, readsWhatTheReferenceLibraryWrote) {
  GgufFile file = GgufFile::open("test/data/gguf/blocks.gguf");
  const GgufMetadata &m = file.metadata();
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(m.text("general.architecture"), "golden");
  EXPECT_EQ(*m.find("value.u8"), GgufValue(uint8_t(200)));
  EXPECT_EQ(*m.find("value.i8"), GgufValue(int8_t(-100)));
  EXPECT_EQ(*m.find("value.u16"), GgufValue(uint16_t(60000)));
  EXPECT_EQ(*m.find("value.i16"), GgufValue(int16_t(-30000)));
  EXPECT_EQ(*m.find("value.u32"), GgufValue(4000000000u));
  EXPECT_EQ(*m.find("value.i32"), GgufValue(-2000000000));
  EXPECT_EQ(*m.find("value.f32"), GgufValue(1e-5f));
  EXPECT_EQ(*m.find("value.bool"), GgufValue(true));
  EXPECT_EQ(*m.find("value.string"), GgufValue(std::string("h\u00e9 \u4e16")));
  EXPECT_EQ(*m.find("value.u64"), GgufValue((uint64_t(1) << 63) + 5));
  EXPECT_EQ(*m.find("value.i64"), GgufValue(-(int64_t(1) << 62)));
  EXPECT_EQ(*m.find("value.f64"), GgufValue(0.1));
  EXPECT_EQ(m.texts("value.strings"), (std::vector<std::string>{"a", "", "\u00df"}));
  EXPECT_EQ(m.integers("value.ints"), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(m.numbers("value.floats"), (std::vector<double>{0.5, -1.25}));
  EXPECT_EQ(*m.find("value.bools"), arrayOf(std::vector<bool>{true, false}));
  EXPECT_EQ(valueText(*m.find("value.nested"), 0), "[[1, 2], [3]]");
  EXPECT_EQ(file.tensors().size(), 14u * 2 + 8 + 1);
  EXPECT_EQ(file.find("Q4_K")->shape, (std::vector<int64_t>{3, 512}));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file.find("Q4_K")->bytes.data()) % 32, 0u);
  EXPECT_EQ(file.find("nothing"), nullptr);
}

TEST(Gguf, metadataIsTyped) {
  GgufMetadata m("x.gguf");
  m.set("count", uint64_t(1) << 63);
  m.set("small", int8_t(-3));
  m.set("eps", 1e-5f);
  m.set("name", std::string("tab\t\xFF"));
  m.set("nan", std::nanf(""));
  m.set("list", arrayOf(std::vector<int32_t>{1, 2, 3, 4}));
  EXPECT_EQ(m.integer("small", -5, 5), -3);
  EXPECT_EQ(m.integer("none", 0, 1, 1), 1);
  EXPECT_EQ(m.number("eps"), 1e-5); // and not the f32's 9.99999975e-06
  EXPECT_EQ(m.number("small"), -3);
  auto expect = [](auto call, const char *text) { EXPECT_EQ(errorOf(call), text); };
  expect([&] { m.integer("none", 0, 1); }, "'x.gguf': key 'none' is missing");
  expect([&] { m.integer("count", 0, INT64_MAX); },
         "'x.gguf': key 'count' is 9223372036854775808 (u64), expected a whole number in [0, "
         "9223372036854775807]");
  expect([&] { m.integer("eps", 0, 1); },
         "'x.gguf': key 'eps' is 1e-05 (f32), expected a whole number in [0, 1]");
  expect([&] { m.number("nan"); }, "'x.gguf': key 'nan' is nan (f32), expected a number");
  expect([&] { m.boolean("small"); }, "'x.gguf': key 'small' is -3 (i8), expected a bool");
  expect([&] { m.number("name"); },
         "'x.gguf': key 'name' is \"tab\\t\uFFFD\" (string), expected a number");
  expect([&] { m.texts("list"); },
         "'x.gguf': key 'list' is [1, 2, 3, ... 4 in all] (array of i32), expected an array of "
         "strings");
  m.set("small", true);
  EXPECT_TRUE(m.boolean("small"));
  EXPECT_EQ(m.entries()[1].key, "small");
}

TEST(Gguf, writtenFilesComeBack) {
  TemporaryFolder folder;
  GgufFile golden = GgufFile::open("test/data/gguf/blocks.gguf");
  std::vector<GgufTensorInfo> infos;
  for (const auto &[name, view] : golden.tensors())
    infos.push_back({name, view.type, view.shape});
  infos.push_back({"scalar", TensorType::I64, {}});
  infos.push_back({"none", TensorType::Q8_0, {0, 64}});
  GgufMetadata metadata = golden.metadata();
  metadata.set("general.alignment", 64u); // the writer has its own
  metadata.set("deep", arrayOf(std::vector<GgufArray>{
                           {std::vector<GgufArray>{{std::vector<std::string>{"x"}}}}}));
  GgufWriter writer(folder / "m.gguf", metadata, infos);
  for (const auto &[name, view] : golden.tensors())
    writer.write(view.bytes);
  int64_t scalar = 7;
  writer.write(std::as_bytes(std::span(&scalar, 1)));
  EXPECT_THAT(errorOf([&] { writer.commit(); }),
              testing::HasSubstr("m.gguf': tensor 'none' was not written"));
  writer.write({});
  EXPECT_FALSE(std::filesystem::exists(folder / "m.gguf"));
  writer.commit();

  GgufFile file = GgufFile::open(folder / "m.gguf");
  ASSERT_EQ(file.tensors().size(), infos.size());
  for (size_t i = 0; i < golden.tensors().size(); ++i) {
    const auto &[name, view] = file.tensors()[i];
    EXPECT_EQ(name, infos[i].name);
    EXPECT_EQ(view.type, infos[i].type);
    EXPECT_EQ(view.shape, infos[i].shape);
    EXPECT_TRUE(std::ranges::equal(view.bytes, golden.tensors()[i].view.bytes)) << name;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(view.bytes.data()) % 32, 0u);
  }
  EXPECT_TRUE(file.find("none")->bytes.empty());
  metadata.set("general.alignment", 32u);
  ASSERT_EQ(file.metadata().entries().size(), metadata.entries().size());
  for (size_t i = 0; i < metadata.entries().size(); ++i) {
    EXPECT_EQ(file.metadata().entries()[i].key, metadata.entries()[i].key);
    EXPECT_EQ(file.metadata().entries()[i].value, metadata.entries()[i].value);
  }
}

TEST(Gguf, writerRefuses) {
  TemporaryFolder folder;
  auto write = [&](std::vector<GgufTensorInfo> infos) {
    return errorOf(
        [&] { GgufWriter(folder / "m.gguf", GgufMetadata("m"), std::move(infos)).write({}); });
  };
  using testing::HasSubstr;
  EXPECT_THAT(write({{"a", TensorType::F32, {1}}, {"a", TensorType::F32, {1}}}),
              HasSubstr("m.gguf': tensor 'a' cannot be written twice"));
  EXPECT_THAT(write({{"a", TensorType::Bool, {1}}}), HasSubstr("GGUF has no type BOOL"));
  EXPECT_THAT(write({{"a", TensorType::Q4_K, {2, 128}}}),
              HasSubstr("tensor 'a' is [2, 128], but rows of Q4_K are multiples of 256"));
  EXPECT_THAT(write({{"a", TensorType::F32, {1, 1, 1, 1, 1}}}), HasSubstr("at most 4 dimensions"));
  EXPECT_THAT(write({{std::string(65, 'a'), TensorType::F32, {1}}}), HasSubstr("at most 64 bytes"));
  EXPECT_THAT(write({{"a", TensorType::F32, {1}}}), HasSubstr("needs 4 bytes, got 0"));
  EXPECT_THAT(write({}), HasSubstr("has 0 tensors, more were written"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path));
}

namespace {

void writePart(const TemporaryFolder &folder, const std::string &name, const std::string &tensor,
               int64_t part, int64_t parts, int64_t tensors) {
  GgufMetadata m("m");
  m.set("general.architecture", std::string("x"));
  m.set("split.no", uint16_t(part));
  m.set("split.count", uint16_t(parts));
  m.set("split.tensors.count", int32_t(tensors));
  GgufWriter writer(folder / name, m, {{tensor, TensorType::F32, {2}}});
  const float values[] = {float(part), 7};
  writer.write(std::as_bytes(std::span(values)));
  writer.commit();
}

} // namespace

TEST(Gguf, filesInParts) {
  TemporaryFolder folder;
  writePart(folder, "m-00001-of-00002.gguf", "a", 0, 2, 2);
  writePart(folder, "m-00002-of-00002.gguf", "b", 1, 2, 2);
  {
    GgufFile file = GgufFile::open(folder / "m-00001-of-00002.gguf");
    ASSERT_EQ(file.tensors().size(), 2u);
    std::vector<float> values(2);
    readAsF32(*file.find("b"), values);
    EXPECT_EQ(values, (std::vector<float>{1, 7}));
  }
  auto opening = [&](const char *name) { return errorOf([&] { GgufFile::open(folder / name); }); };
  using testing::HasSubstr;
  EXPECT_THAT(opening("m-00002-of-00002.gguf"),
              HasSubstr("is part 2 of 2; give the first, 'm-00001-of-00002.gguf'"));
  writePart(folder, "m-00002-of-00002.gguf", "a", 1, 2, 2);
  EXPECT_THAT(opening("m-00001-of-00002.gguf"), HasSubstr("tensor 'a' is in another part too"));
  writePart(folder, "m-00002-of-00002.gguf", "b", 1, 3, 2);
  EXPECT_THAT(opening("m-00001-of-00002.gguf"), HasSubstr("says that it is part 2 of 3"));
  writePart(folder, "n-00001-of-00002.gguf", "a", 0, 2, 3);
  EXPECT_THAT(opening("n-00001-of-00002.gguf"), HasSubstr("n-00002-of-00002.gguf"));
  writePart(folder, "n-00002-of-00002.gguf", "b", 1, 2, 3);
  EXPECT_THAT(opening("n-00001-of-00002.gguf"), HasSubstr("is 3, but the 2 parts have 2"));
  writePart(folder, "other.gguf", "a", 0, 2, 2);
  EXPECT_THAT(opening("other.gguf"), HasSubstr("must be called ...-00001-of-00002.gguf"));
}

} // namespace lmc
