#include "codegen/Placement.h"

#include "codegen/PackBlocks.h"
#include "codegen/PackPanels.h"
#include "runtime/Bfloat16.h"
#include "runtime/Error.h"
#include "runtime/Half.h"
#include "runtime/KernelAbi.h"

#include <cstring>

namespace lmc {
namespace {

lm::Panels panelsOf(const executable::Tensor &tensor) {
  const executable::Packing &packing = tensor.packing();
  int depth = packing.transposed() ? 1 : 0;
  return {packing.shape(depth), packing.shape(1 - depth), tensor.shape(2)};
}

/// Matrices that lie as panels, one after the other: one for each expert.
int64_t matricesOf(const executable::Tensor &tensor) {
  return tensor.packing().shape_size() == 3 ? tensor.packing().shape(0) : 1;
}

/// Of each matrix.
lm::BlockPanels blockPanelsOf(const executable::Tensor &tensor) {
  const executable::Packing &packing = tensor.packing();
  int last = packing.shape_size() - 1, depth = packing.transposed() ? last : last - 1;
  lm::BlockPanels panels{lm::findBlockFormat(packing.blocks()), packing.shape(depth),
                         packing.shape(2 * last - 1 - depth), 1};
  // The pass that made the tensor chose the width, lanes of a vector; bytes of a panel tell it.
  while (panels.panelBytes() < tensor.shape(tensor.shape_size() - 1))
    panels.width *= 2;
  return panels;
}

/// Bytes of the blocks of one matrix, as files have them.
uint64_t blockBytes(const lm::BlockPanels &panels) {
  return panels.depth / panels.format->super * panels.columns * fileBytes(*panels.format);
}

/// Bytes of the values that a parameter's name stands for.
uint64_t plainBytes(const executable::Tensor &tensor) {
  if (!tensor.has_packing())
    return tensor.bytes();
  if (!tensor.packing().blocks().empty())
    return matricesOf(tensor) * blockBytes(blockPanelsOf(tensor));
  return sizeOf(tensor.dtype()) * tensor.packing().shape(0) * tensor.packing().shape(1);
}

void packMatrices(std::span<const std::byte> stored, const executable::Tensor &tensor,
                  std::span<std::byte> packed, Team &team) {
  lm::BlockPanels panels = blockPanelsOf(tensor);
  uint64_t from = blockBytes(panels), to = panels.size();
  for (int64_t i = 0; i < matricesOf(tensor); ++i)
    packBlocks(stored.subspan(i * from, from), panels, packed.subspan(i * to, to), team);
}

std::vector<uint16_t> rounded(std::span<const std::byte> f32, executable::DType type) {
  std::vector<uint16_t> result(f32.size() / sizeof(float));
  for (size_t i = 0; i < result.size(); ++i) {
    float value;
    std::memcpy(&value, f32.data() + i * sizeof value, sizeof value);
    result[i] = type == executable::BF16 ? floatToBfloat16(value) : floatToHalf(value);
  }
  return result;
}

} // namespace

void placeTensors(executable::Executable &message, DataSection &data,
                  const ParameterData &parameters, int jobs) {
  uint64_t stateBytes = 0, slotBytes = 0, parameterBytes = 0;
  for (const executable::Tensor &tensor : message.tensors())
    if (tensor.role() == executable::PARAMETER)
      parameterBytes += alignUp(tensor.bytes());
  if (parameters) // growing would hold them twice
    data.reserve(alignUp(data.size()) + parameterBytes);
  std::optional<Team> team;
  for (executable::Tensor &tensor : *message.mutable_tensors()) {
    std::optional<std::span<const std::byte>> stored;
    if (tensor.role() == executable::PARAMETER && parameters) {
      const std::string &blocks = tensor.packing().blocks();
      stored = parameters(tensor.name(), blocks.empty() ? nameOf(tensor.dtype()) : blocks);
    }
    tensor.set_data_offset(-1);
    if (stored) {
      std::vector<uint16_t> halves;
      bool isHalf = tensor.dtype() == executable::BF16 || tensor.dtype() == executable::F16;
      if (isHalf && stored->size() == 2 * plainBytes(tensor)) {
        halves = rounded(*stored, tensor.dtype());
        stored = std::as_bytes(std::span(halves));
      }
      if (stored->size() != plainBytes(tensor))
        fail("parameter '{}' has {} bytes, the program expects {}", tensor.name(), stored->size(),
             plainBytes(tensor));
      data.resize(alignUp(data.size()));
      tensor.set_data_offset(static_cast<int64_t>(data.size()));
      if (tensor.has_packing()) {
        if (!team)
          team.emplace(resolveThreads(jobs));
        data.resize(data.size() + tensor.bytes());
        std::span<std::byte> packed = std::span(data).last(tensor.bytes());
        if (tensor.packing().blocks().empty())
          packPanels(*stored, tensor.packing().transposed(), panelsOf(tensor),
                     sizeOf(tensor.dtype()), packed, *team);
        else
          packMatrices(*stored, tensor, packed, *team);
      } else {
        data.insert(data.end(), stored->begin(), stored->end());
      }
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
