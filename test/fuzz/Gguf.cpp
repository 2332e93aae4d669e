// GGUF: whatever the bytes, an Error or tensors that can be read.
#include "frontend/checkpoint/GgufHeader.h"
#include "frontend/checkpoint/TensorView.h"
#include "runtime/Error.h"

#include <cstdlib>

using namespace lmc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::span<const std::byte> file(reinterpret_cast<const std::byte *>(data), size);
  try {
    GgufHeader header = parseGgufHeader(file, "fuzz.gguf");
    for (const auto &[key, value] : header.metadata.entries())
      if (valueText(value, 4).empty())
        std::abort();
    for (const GgufHeader::Entry &tensor : header.tensors) {
      if (!tensor.sizeInBytes || !formatOf(tensor.type).dequantise)
        continue;
      TensorView view{tensor.type, tensor.shape,
                      file.subspan(header.dataBegin + tensor.offset, tensor.sizeInBytes)};
      std::vector<float> values(view.numElements());
      readAsF32(view, values);
    }
  } catch (const Error &) {
  }
  return 0;
}
