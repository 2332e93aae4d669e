#include "codegen/Placement.h"

#include "codegen/PackBlocks.h"
#include "codegen/PackPanels.h"
#include "runtime/Bfloat16.h"
#include "runtime/Error.h"
#include "runtime/FilePages.h"
#include "runtime/Half.h"
#include "runtime/KernelAbi.h"

#include <algorithm>
#include <cstring>
#include <optional>

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

/// Is it stored in another layout than its values come in?
bool isPacked(const executable::Tensor &tensor) {
  return tensor.has_packing() &&
         (tensor.packing().blocks().empty() || !blockPanelsOf(tensor).isFile());
}

/// Bytes of the values that a parameter's name stands for.
uint64_t plainBytes(const executable::Tensor &tensor) {
  if (!tensor.has_packing())
    return tensor.bytes();
  if (!tensor.packing().blocks().empty())
    return matricesOf(tensor) * blockBytes(blockPanelsOf(tensor));
  return sizeOf(tensor.dtype()) * tensor.packing().shape(0) * tensor.packing().shape(1);
}

/// Packs a matrix whose columns lie one after the other, `columnBytes` each, some at a time: of a file's pages and
/// what is made of them only one is in memory. `pack(columns, values, packed)` packs so many columns.
template <typename Pack>
void packColumns(const ParameterValues &values, uint64_t columnBytes, int64_t columns,
                 int64_t width, uint64_t panelBytes, std::span<std::byte> packed,
                 const Pack &pack) {
  constexpr uint64_t kPiece = 4 << 20;
  int64_t most = std::max<int64_t>(1, int64_t(kPiece / (columnBytes * width))) * width;
  for (int64_t first = 0; first < columns; first += most) {
    int64_t count = std::min(most, columns - first);
    auto piece = values.bytes.subspan(first * columnBytes, count * columnBytes);
    pack(count, piece, packed.subspan(first / width * panelBytes));
    if (values.isFile)
      forgetPages(piece);
  }
}

void packBlockMatrices(const ParameterValues &values, const executable::Tensor &tensor,
                       std::span<std::byte> packed, Team &team) {
  lm::BlockPanels panels = blockPanelsOf(tensor);
  uint64_t from = blockBytes(panels), to = panels.size();
  for (int64_t i = 0; i < matricesOf(tensor); ++i)
    packColumns(
        {values.bytes.subspan(i * from, from), values.isFile}, from / panels.columns,
        panels.columns, panels.width, panels.panelBytes(), packed.subspan(i * to, to),
        [&](int64_t columns, std::span<const std::byte> blocks, std::span<std::byte> place) {
          lm::BlockPanels piece = panels;
          piece.columns = columns;
          packBlocks(blocks, piece, place, team);
        });
}

void packMatrix(const ParameterValues &values, const executable::Tensor &tensor,
                std::span<std::byte> packed, Team &team) {
  lm::Panels panels = panelsOf(tensor);
  uint64_t element = sizeOf(tensor.dtype());
  if (!tensor.packing().transposed())
    return packPanels(values.bytes, false, panels, element, packed, team);
  packColumns(
      values, panels.depth * element, panels.columns, panels.width, panels.panelSize() * element,
      packed, [&](int64_t columns, std::span<const std::byte> plain, std::span<std::byte> place) {
        packPanels(plain, true, {panels.depth, columns, panels.width}, element, place, team);
      });
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

/// Stores parameters' values at the end of a data section.
class ParameterStore {
public:
  ParameterStore(DataSection &data, const ParameterData &parameters, int jobs)
      : data(data), parameters(parameters), jobs(jobs) {}

  /// Gives the tensor its offset; leaves it without one where it has no values.
  void store(executable::Tensor &tensor) {
    const std::string &blocks = tensor.packing().blocks();
    auto values = parameters(tensor.name(), blocks.empty() ? nameOf(tensor.dtype()) : blocks);
    if (!values)
      return;
    std::vector<uint16_t> halves;
    bool isHalf = tensor.dtype() == executable::BF16 || tensor.dtype() == executable::F16;
    if (isHalf && values->bytes.size() == 2 * plainBytes(tensor)) {
      halves = rounded(values->bytes, tensor.dtype());
      values = ParameterValues(std::as_bytes(std::span(halves)));
    }
    if (values->bytes.size() != plainBytes(tensor))
      fail("parameter '{}' has {} bytes, the program expects {}", tensor.name(),
           values->bytes.size(), plainBytes(tensor));
    constexpr uint64_t kFewPages = 64 << 10; // copying is less than another mapping
    if (!isPacked(tensor) && values->isFile && tensor.bytes() > kFewPages)
      appendPages(data, values->bytes);
    else
      append(*values, tensor);
    tensor.set_data_offset(static_cast<int64_t>(data.size() - tensor.bytes()));
  }

private:
  void append(const ParameterValues &values, const executable::Tensor &tensor) {
    data.resize(alignUp(data.size()) + tensor.bytes());
    std::span<std::byte> place = std::span(data).last(tensor.bytes());
    if (!isPacked(tensor)) {
      std::ranges::copy(values.bytes, place.begin());
      return;
    }
    if (!team)
      team.emplace(resolveThreads(jobs));
    if (tensor.packing().blocks().empty())
      packMatrix(values, tensor, place, *team);
    else
      packBlockMatrices(values, tensor, place, *team);
  }

  DataSection &data;
  const ParameterData &parameters;
  int jobs;
  std::optional<Team> team;
};

} // namespace

void placeTensors(executable::Executable &message, DataSection &data,
                  const ParameterData &parameters, int jobs) {
  uint64_t stateBytes = 0, slotBytes = 0, parameterBytes = 0;
  for (const executable::Tensor &tensor : message.tensors())
    if (tensor.role() == executable::PARAMETER)
      parameterBytes += alignUp(tensor.bytes()) + slackOfPages();
  if (parameters) // growing would hold them twice
    data.reserve(alignUp(data.size()) + parameterBytes);
  ParameterStore store(data, parameters, jobs);
  for (executable::Tensor &tensor : *message.mutable_tensors()) {
    tensor.set_data_offset(-1);
    if (tensor.role() == executable::PARAMETER && parameters)
      store.store(tensor);
    if (tensor.data_offset() >= 0 && message.mode() == "infer") {
      tensor.set_arena_offset(-1);
      continue;
    }
    uint64_t &region = tensor.role() == executable::CACHE ? slotBytes : stateBytes;
    tensor.set_arena_offset(static_cast<int64_t>(region));
    region += alignUp(tensor.bytes());
  }
  message.set_state_bytes(stateBytes);
  message.set_slot_bytes(slotBytes);
}

} // namespace lmc
