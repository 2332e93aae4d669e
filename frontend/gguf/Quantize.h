// A model as a GGUF file of a chosen mix.
#pragma once

#include "frontend/gguf/GgufModel.h"
#include "frontend/gguf/QuantizationMix.h"

namespace lmc {

/// A tensor on its way.
struct QuantizedTensor {
  std::string name;
  std::vector<int64_t> shape;
  TensorType from;
  TensorChoice to;
  uint64_t bytesBefore, bytes;
};

/// What quantize will write, without reading a weight. Error where a tensor is quantised already
/// and gets another type, unless `requantize`: its errors would add up.
std::vector<QuantizedTensor> planQuantization(const GgufModel &model, const QuantizationMix &mix,
                                              bool requantize);

/// Writes the file, one tensor in memory at a time, with `threads` workers; the bytes do not depend
/// on their number. Sets general.file_type and general.quantization_version. onTensor is called
/// before each. Error naming a tensor whose weights are infinite or not a number, or too large for
/// f16 scales.
void quantize(const GgufModel &model, const QuantizationMix &mix,
              const std::vector<QuantizedTensor> &plan, const std::filesystem::path &output,
              int threads, const std::function<void(const QuantizedTensor &)> &onTensor = {});

} // namespace lmc
