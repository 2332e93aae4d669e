#include "tools/bench/ModelWork.h"

#include "frontend/Weights.h"
#include "runtime/Error.h"

#include <set>

namespace lmc::bench {

double flopsPerToken(const ModelConfig &c, double length) {
  double weights = 0;
  for (const ParameterSpec &parameter : parametersOf(c)) {
    double size = 1;
    for (int64_t extent : parameter.shape)
      size *= double(extent);
    if (parameter.shape.size() == 3) // experts [E, out, in]: a token meets some of them
      size *= double(c.mixture.perToken) / double(parameter.shape[0]);
    if (parameter.shape.size() > 1)
      weights += size;
  }
  // Tables of embeddings are read, not multiplied with, but for a tied head.
  weights -= double(c.architecture == Architecture::Gpt2 ? c.context * c.width : 0);
  weights -= c.tiedHead ? 0 : double(c.vocab * c.width);
  return 2 * weights + 2 * double(c.layers * c.heads * c.headDim) * length;
}

double decodeBytes(const ModelConfig &config, const Executable &executable, int64_t past) {
  const executable::Executable &message = executable.message();
  int index = executable.findProgram("decode");
  if (index < 0)
    fail("the model has no @decode");
  const executable::Program &decode = message.programs(index);
  std::set<uint32_t> tensors;
  for (const executable::Launch &launch : decode.launches()) {
    const std::string &family = message.kernels(static_cast<int>(launch.kernel())).family();
    if (family == "gather" || family == "block_gather")
      continue;
    for (uint32_t operand : launch.buffers())
      if (const auto &buffer = decode.buffers(static_cast<int>(operand));
          buffer.segment() == executable::Buffer::TENSOR)
        tensors.insert(buffer.tensor());
  }
  double bytes = 0;
  for (uint32_t at : tensors) {
    const executable::Tensor &tensor = message.tensors(static_cast<int>(at));
    const auto &shape = tensor.has_packing() ? tensor.packing().shape() : tensor.shape();
    if (tensor.role() == executable::PARAMETER)
      bytes += double(tensor.bytes()) *
               (shape.size() == 3 ? double(config.mixture.perToken) / double(shape[0]) : 1);
    else if (tensor.role() == executable::CACHE) // [1, S, G, D], or a pool of pages
      bytes += double(tensor.bytes()) * double(past) / double(tensor.shape(0) * tensor.shape(1));
  }
  return bytes;
}

} // namespace lmc::bench
