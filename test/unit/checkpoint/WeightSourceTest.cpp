#include "frontend/checkpoint/WeightSource.h"

#include "TemporaryFolder.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace lmc {

static const std::vector<float> values{1, 2, 3, 4, 5, 6};

static NamedTensor tensor(const std::string &name, std::vector<int64_t> shape) {
  size_t count = 1;
  for (int64_t extent : shape)
    count *= size_t(extent);
  return {name, {TensorType::F32, shape, std::as_bytes(std::span(values).first(count))}};
}

static std::string errorOf(const std::filesystem::path &path) {
  try {
    openWeights(path);
  } catch (const Error &error) {
    return error.what();
  }
  return "no error";
}

static const char *indexName = "model.safetensors.index.json";

TEST(WeightSource, fileOrFolder) {
  TemporaryFolder folder;
  writeSafetensors(folder / "only.safetensors", {tensor("a", {2})});
  EXPECT_TRUE(openWeights(folder / "only.safetensors")->find("a"));
  EXPECT_TRUE(openWeights(folder.path)->find("a"));
  writeSafetensors(folder / "other.safetensors", {tensor("b", {2})});
  EXPECT_THAT(errorOf(folder.path), testing::HasSubstr("2 other .safetensors files"));
  writeSafetensors(folder / "model.safetensors", {tensor("c", {2})});
  EXPECT_TRUE(openWeights(folder.path)->find("c"));
  EXPECT_THAT(errorOf(folder / "none"), testing::HasSubstr("no such file or folder"));
}

TEST(WeightSource, shards) {
  TemporaryFolder folder;
  writeSafetensors(folder / "1.safetensors", {tensor("a", {2}), tensor("b", {3})});
  writeSafetensors(folder / "2.safetensors", {tensor("c", {2, 3})});
  folder.write(indexName, R"({"metadata":{"total_size":44},"weight_map":{"a":"1.safetensors",
      "b":"1.safetensors","c":"2.safetensors"}})");
  std::unique_ptr<WeightSource> source = openWeights(folder.path);
  EXPECT_EQ(source->names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(source->find("c")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(source->describe("c"), (folder / "2.safetensors").string());
  EXPECT_EQ(source->find("d"), nullptr);
}

TEST(WeightSource, hostileIndexes) {
  TemporaryFolder folder;
  writeSafetensors(folder / "1.safetensors", {tensor("a", {2})});
  const std::pair<const char *, const char *> cases[] = {
      {"", "parse error"},
      {"[]", "'weight_map' must be an object"},
      {"{}", "'weight_map' must be an object"},
      {R"({"weight_map":{}})", "'weight_map' must be an object"},
      {R"({"weight_map":{"a":1}})", "the file of tensor 'a' must be a string"},
      {R"({"weight_map":{"a":"../1.safetensors"}})", "is not a file name"},
      {R"({"weight_map":{"a":"/etc/passwd"}})", "is not a file name"},
      {R"({"weight_map":{"a":".."}})", "is not a file name"},
      {R"({"weight_map":{"a":""}})", "is not a file name"},
      {R"({"weight_map":{"a":"1.safetensors\u0000x"}})", "is not a file name"},
      {R"({"weight_map":{"a":"missing.safetensors"}})", "cannot be opened"},
      {R"({"weight_map":{"z":"1.safetensors"}})", "tensor 'z' is not in '1.safetensors'"},
      {R"({"weight_map":{"a":"1.safetensors","a":"2.safetensors"}})", "the member 'a' comes twice"},
      {R"({"weight_map":{"b":"2.safetensors"}})",
       "tensor 'c' of '2.safetensors' is not in the index"},
      {R"({"weight_map":{"b":"2.safetensors","c":"3.safetensors"}})",
       "tensor 'c' is in '3.safetensors' and in '2.safetensors'"},
  };
  writeSafetensors(folder / "2.safetensors", {tensor("b", {2}), tensor("c", {2})});
  writeSafetensors(folder / "3.safetensors", {tensor("c", {2})});
  for (auto [text, message] : cases) {
    folder.write(indexName, text);
    EXPECT_THAT(errorOf(folder.path), testing::HasSubstr(message)) << text;
  }
  folder.write(indexName, std::string(100000, '['));
  EXPECT_THAT(errorOf(folder.path), testing::HasSubstr("nested deeper than 8"));
}

TEST(WeightSource, modelsAreWrittenInShards) {
  TemporaryFolder folder;
  std::vector<NamedTensor> tensors{tensor("c", {3}), tensor("a", {6}), tensor("b", {2}),
                                   tensor("d", {1})};
  auto files = [&] {
    std::set<std::string> names;
    for (const auto &entry : std::filesystem::directory_iterator(folder.path))
      names.insert(entry.path().filename().string());
    return names;
  };
  auto check = [&] {
    auto source = openWeights(folder.path);
    EXPECT_EQ(source->names(), (std::vector<std::string>{"a", "b", "c", "d"}));
    for (const auto &[name, view] : tensors) {
      EXPECT_EQ(source->find(name)->shape, view.shape);
      EXPECT_TRUE(std::ranges::equal(source->find(name)->bytes, view.bytes)) << name;
    }
  };
  using Names = std::set<std::string>;
  writeModelSafetensors(folder.path, tensors, 48);
  EXPECT_EQ(files(), Names{"model.safetensors"});
  check();
  // 12 bytes; 24, more than a shard may have; 8 + 4.
  writeModelSafetensors(folder.path, tensors, 20);
  EXPECT_EQ(files(),
            (Names{indexName, "model-00001-of-00003.safetensors",
                   "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"}));
  EXPECT_THAT(readBytes(folder / indexName), testing::HasSubstr("\"total_size\": 48"));
  check();
  writeModelSafetensors(folder.path, tensors, 48);
  EXPECT_EQ(files(), Names{"model.safetensors"});
  tensors.push_back(tensor("a", {1}));
  EXPECT_THROW(writeModelSafetensors(folder.path, tensors, 4), Error);
}

TEST(WeightSource, requireSaysWhatIsWrong) {
  TemporaryFolder folder;
  std::filesystem::path path = folder / "m.safetensors";
  writeSafetensors(path, {tensor("wte", {3, 2})});
  std::unique_ptr<WeightSource> source = openWeights(path);
  auto message = [&](const std::string &name, std::vector<int64_t> shape) {
    try {
      source->require(name, shape);
    } catch (const Error &error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  std::string file = "'" + path.string() + "': ";
  EXPECT_EQ(message("wte", {3, 2}), "no error");
  EXPECT_EQ(message("wte", {4, 2}), file + "tensor 'wte' is [3, 2], the model expects [4, 2]");
  EXPECT_EQ(message("wte", {6}), file + "tensor 'wte' is [3, 2], the model expects [6]");
  EXPECT_EQ(message("wpe", {1}), file + "has no tensor 'wpe', the model expects [1]");
}

TEST(WeightSource, recordedModels) {
  const char *given = std::getenv("LMC_SHARED");
  std::filesystem::path shared = given ? given : "../shared";
  if (!std::filesystem::exists(shared / "golden"))
    GTEST_SKIP() << shared / "golden" << " is absent: recorded models were not opened";
  std::unique_ptr<WeightSource> source = openWeights(shared / "golden/gpt2-tiny");
  std::vector<int64_t> shape{256, 64};
  const TensorView &view = source->require("transformer.wte.weight", shape);
  EXPECT_EQ(view.type, TensorType::F32);
}

} // namespace lmc
