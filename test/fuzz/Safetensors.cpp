// The header of a safetensors file: whatever the bytes, an Error or tensors that lie within the data.
// The first two bytes are how many bytes of data there are.
#include "frontend/checkpoint/SafetensorsHeader.h"
#include "runtime/Error.h"

#include <cstdlib>

using namespace lmc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2)
    return 0;
  uint64_t dataBytes = data[0] | data[1] << 8;
  try {
    SafetensorsHeader header =
        parseSafetensorsHeader({reinterpret_cast<const char *>(data) + 2, size - 2}, dataBytes);
    for (const auto &[name, tensor] : header.tensors)
      if (tensor.begin > tensor.end || tensor.end > dataBytes)
        std::abort();
  } catch (const Error &) {
  }
  return 0;
}
