// Where a model's weights come from: a safetensors file or a folder of them.
#pragma once

#include "frontend/checkpoint/SafetensorsFile.h"

#include <map>
#include <memory>

namespace lmc {

class WeightSource {
public:
  virtual ~WeightSource() = default;

  /// Sorted.
  virtual std::vector<std::string> names() const = 0;
  /// Null if there is none. Valid as long as this object.
  virtual const TensorView *find(const std::string &name) const = 0;
  /// For errors: the file that has the tensor, or the source as a whole.
  virtual std::string describe(const std::string &name) const = 0;
  /// Gives the memory of a tensor's bytes back, where they can be read again.
  virtual void forget(const TensorView &) const {}

  /// The tensor, or where the source has it in pieces (StackedNames.h) these. Valid as long as this object.
  /// Error if one is missing or has another shape:
  ///   'model.safetensors': tensor 'wte' is [50257, 768], the model expects [50304, 768]
  const TensorView &require(const std::string &name, std::span<const int64_t> shape) const;

private:
  mutable std::map<std::string, TensorView> stacked;
};

/// A .safetensors file, or a folder with model.safetensors.index.json and its shards, with
/// model.safetensors, or with one .safetensors file.
std::unique_ptr<WeightSource> openWeights(const std::filesystem::path &path);

} // namespace lmc
