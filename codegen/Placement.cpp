#include "codegen/Placement.h"

#include "runtime/Error.h"
#include "runtime/KernelAbi.h"

#include <xxhash.h>

namespace lmc {

void placeTensors(executable::Executable &message, std::vector<std::byte> &data,
                  const ParameterData &parameters) {
  uint64_t stateBytes = 0, slotBytes = 0;
  for (executable::Tensor &tensor : *message.mutable_tensors()) {
    std::optional<std::span<const std::byte>> stored;
    if (tensor.role() == executable::PARAMETER && parameters)
      stored = parameters(tensor.name(), tensor.dtype());
    tensor.set_data_offset(-1);
    if (stored) {
      if (stored->size() != tensor.bytes())
        fail("parameter '{}' has {} bytes, the program expects {}", tensor.name(), stored->size(),
             tensor.bytes());
      data.resize(alignUp(data.size()));
      tensor.set_data_offset(static_cast<int64_t>(data.size()));
      tensor.set_data_checksum(XXH3_64bits(stored->data(), stored->size()));
      data.insert(data.end(), stored->begin(), stored->end());
      if (message.mode() == "infer") {
        tensor.set_arena_offset(-1);
        continue;
      }
    }
    uint64_t &region = tensor.role() == executable::CACHE ? slotBytes : stateBytes;
    tensor.set_arena_offset(static_cast<int64_t>(region));
    region += alignUp(tensor.bytes());
  }
  message.set_state_bytes(stateBytes);
  message.set_slot_bytes(slotBytes);
}

} // namespace lmc
