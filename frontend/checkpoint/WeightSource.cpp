#include "frontend/checkpoint/WeightSource.h"

#include "frontend/checkpoint/SafetensorsHeader.h"
#include "frontend/checkpoint/StackedNames.h"
#include "frontend/json/StrictJson.h"
#include "runtime/Error.h"
#include "runtime/FilePages.h"

#include <algorithm>

namespace lmc {

namespace {

class Shards : public WeightSource {
public:
  explicit Shards(std::filesystem::path path) : path(std::move(path)) {}

  void addFile(const std::filesystem::path &file);
  void addIndex(const std::filesystem::path &index);

  std::vector<std::string> names() const override {
    std::vector<std::string> result;
    for (const auto &[name, shard] : shardOf)
      result.push_back(name);
    return result;
  }
  const TensorView *find(const std::string &name) const override {
    auto found = shardOf.find(name);
    return found == shardOf.end() ? nullptr : files[found->second].find(name);
  }
  std::string describe(const std::string &name) const override {
    auto found = shardOf.find(name);
    return (found == shardOf.end() ? path : files[found->second].path()).string();
  }
  void forget(const TensorView &view) const override {
    forgetPages(view.bytes);
    for (const TensorView &part : view.parts)
      forget(part);
  }

private:
  std::filesystem::path path;
  std::vector<SafetensorsFile> files;
  std::map<std::string, size_t> shardOf;
};

} // namespace

void Shards::addFile(const std::filesystem::path &file) {
  files.push_back(SafetensorsFile::open(file));
  for (const std::string &name : files.back().names())
    shardOf.emplace(name, files.size() - 1);
}

void Shards::addIndex(const std::filesystem::path &index) {
  MappedFile text(index);
  nlohmann::json root;
  try {
    root = parseStrictJson(
        {reinterpret_cast<const char *>(text.bytes().data()), text.bytes().size()}, 8);
  } catch (const std::exception &error) {
    fail("'{}': {}", index.string(), error.what());
  }
  if (!root.is_object() || !root.contains("weight_map") || !root["weight_map"].is_object() ||
      root["weight_map"].empty())
    fail("'{}': 'weight_map' must be an object that names each tensor's file", index.string());

  std::map<std::string, size_t> opened;
  for (const auto &[name, value] : root["weight_map"].items()) {
    if (!value.is_string())
      fail("'{}': the file of tensor '{}' must be a string", index.string(), name);
    std::string file = value.get<std::string>();
    // An index may name only its neighbours.
    if (file.empty() || file == "." || file == ".." || file.find('/') != std::string::npos ||
        file.find('\0') != std::string::npos)
      fail("'{}': tensor '{}' is in '{}', which is not a file name", index.string(), name,
           nlohmann::json(file).dump());
    auto [entry, isNew] = opened.emplace(file, files.size());
    if (isNew)
      files.push_back(SafetensorsFile::open(index.parent_path() / file));
    if (!files[entry->second].find(name))
      fail("'{}': tensor '{}' is not in '{}'", index.string(), name, file);
    shardOf.emplace(name, entry->second);
  }
  for (size_t i = 0; i < files.size(); ++i)
    for (const std::string &name : files[i].names())
      if (auto found = shardOf.find(name); found == shardOf.end())
        fail("'{}': tensor '{}' of '{}' is not in the index", index.string(), name,
             files[i].path().filename().string());
      else if (found->second != i)
        fail("'{}': tensor '{}' is in '{}' and in '{}'", index.string(), name,
             files[found->second].path().filename().string(), files[i].path().filename().string());
}

const TensorView &WeightSource::require(const std::string &name,
                                        std::span<const int64_t> shape) const {
  const TensorView *view = find(name);
  if (std::vector<std::string> parts = storedNames(name, shape); !view && parts.front() != name) {
    TensorView whole;
    whole.shape.assign(shape.begin(), shape.end());
    for (const std::string &part : parts)
      whole.parts.push_back(require(part, shape.subspan(1)));
    whole.type = whole.parts.front().type;
    return stacked[name] = std::move(whole);
  }
  if (!view)
    fail("'{}': has no tensor '{}', the model expects {}", describe(name), name, shapeText(shape));
  if (!std::equal(shape.begin(), shape.end(), view->shape.begin(), view->shape.end()))
    fail("'{}': tensor '{}' is {}, the model expects {}", describe(name), name,
         shapeText(view->shape), shapeText(shape));
  return *view;
}

std::unique_ptr<WeightSource> openWeights(const std::filesystem::path &path) {
  auto source = std::make_unique<Shards>(path);
  if (!std::filesystem::exists(path))
    fail("'{}': no such file or folder", path.string());
  if (!std::filesystem::is_directory(path)) {
    source->addFile(path);
    return source;
  }
  if (std::filesystem::path index = path / "model.safetensors.index.json";
      std::filesystem::exists(index)) {
    source->addIndex(index);
    return source;
  }
  std::filesystem::path single = path / "model.safetensors";
  if (!std::filesystem::exists(single)) {
    std::vector<std::filesystem::path> candidates;
    for (const auto &entry : std::filesystem::directory_iterator(path))
      if (entry.path().extension() == ".safetensors")
        candidates.push_back(entry.path());
    if (candidates.size() != 1)
      fail("'{}': has neither model.safetensors nor model.safetensors.index.json, and {} other "
           ".safetensors files",
           path.string(), candidates.size());
    single = candidates[0];
  }
  source->addFile(single);
  return source;
}

} // namespace lmc
