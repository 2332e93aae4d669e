#include "frontend/checkpoint/SafetensorsFile.h"
#include "runtime/AtomicFile.h"
#include "runtime/Error.h"

#include <nlohmann/json.hpp>

#include <set>

namespace lmc {

static constexpr const char *indexName = "model.safetensors.index.json";

/// model.safetensors, its index and its shards, as readers look for them.
static bool isModelFile(std::string_view name) {
  return name == indexName || name == "model.safetensors" ||
         (name.starts_with("model-") && name.ends_with(".safetensors"));
}

static void removeOthers(const std::filesystem::path &folder, const std::set<std::string> &kept) {
  std::vector<std::filesystem::path> others;
  for (const auto &entry : std::filesystem::directory_iterator(folder))
    if (std::string name = entry.path().filename().string();
        isModelFile(name) && !kept.contains(name))
      others.push_back(entry.path());
  for (const std::filesystem::path &path : others)
    std::filesystem::remove(path);
}

void writeModelSafetensors(const std::filesystem::path &folder, std::vector<NamedTensor> tensors,
                           uint64_t maxShardBytes) {
  std::vector<std::vector<NamedTensor>> shards(1);
  uint64_t shardBytes = 0, totalBytes = 0;
  std::set<std::string> names;
  for (NamedTensor &tensor : tensors) {
    if (!names.insert(tensor.name).second)
      fail("'{}': tensor name '{}' cannot be written twice", folder.string(), tensor.name);
    uint64_t bytes = tensor.view.bytes.size();
    if (!shards.back().empty() && shardBytes + bytes > maxShardBytes) {
      shards.emplace_back();
      shardBytes = 0;
    }
    shardBytes += bytes;
    totalBytes += bytes;
    shards.back().push_back(std::move(tensor));
  }
  if (shards.size() == 1) {
    writeSafetensors(folder / "model.safetensors", std::move(shards[0]));
    removeOthers(folder, {"model.safetensors"});
    return;
  }

  nlohmann::ordered_json index = {{"metadata", {{"total_size", totalBytes}}}};
  std::set<std::string> files{indexName};
  for (size_t i = 0; i < shards.size(); ++i) {
    std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    files.insert(name);
    for (const NamedTensor &tensor : shards[i])
      index["weight_map"][tensor.name] = name;
    writeSafetensors(folder / name, std::move(shards[i]));
  }
  AtomicFile file(folder / indexName);
  file.write(index.dump(2) + "\n");
  file.commit();
  removeOthers(folder, files);
}

} // namespace lmc
