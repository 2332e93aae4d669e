#include "runtime/CudaTensors.h"

#include <algorithm>

namespace lmc {
namespace {

using Pointer = CudaDriver::Pointer;

/// A CPU uses such a tensor where the file is mapped.
bool isWeight(const executable::Tensor &tensor) { return tensor.arena_offset() < 0; }

/// Goes there before each run, or comes back after it.
bool isTransferred(const executable::Tensor &tensor) {
  return tensor.role() == executable::INPUT || tensor.role() == executable::OUTPUT;
}

/// By tensor: whether some launch writes it.
std::vector<bool> writtenTensors(const executable::Executable &message) {
  std::vector<bool> written(message.tensors_size(), false);
  for (const executable::Program &program : message.programs())
    for (const executable::Launch &launch : program.launches())
      for (int i = static_cast<int>(launch.num_inputs()); i < launch.buffers_size(); ++i) {
        const auto &buffer = program.buffers(static_cast<int>(launch.buffers(i)));
        if (buffer.segment() != executable::Buffer::TRANSIENT)
          written[buffer.tensor()] = true;
      }
  return written;
}

/// Where each tensor's weights begin, and behind them where the last ones end.
std::vector<uint64_t> placeWeights(const executable::Executable &message) {
  std::vector<uint64_t> offsets = {0};
  for (const executable::Tensor &tensor : message.tensors())
    offsets.push_back(offsets.back() + (isWeight(tensor) ? alignUp(tensor.bytes()) : 0));
  return offsets;
}

} // namespace

CudaTensors::CudaTensors(const Executable &executable, int slots, const CudaStream &stream)
    : executable(executable), message(executable.message()), slots(slots), stream(stream),
      layout(message, 1, slots), arena(layout.bytes, stream), weightOffsets(placeWeights(message)),
      weights(weightOffsets.back(), stream), mirrors(message.tensors_size()),
      isWritten(writtenTensors(message)), isReleased(message.tensors_size(), false),
      staged(message.tensors_size()), sent(stream.driver) {
  fillWeights();
  fillState();
  touchTransient();
}

Pointer CudaTensors::place(const executable::Buffer &buffer, int slot) const {
  if (buffer.segment() == executable::Buffer::TRANSIENT)
    return arena.data() + layout.transient + buffer.offset();
  int index = static_cast<int>(buffer.tensor());
  const executable::Tensor &tensor = message.tensors(index);
  Pointer start = isWeight(tensor) ? weights.data() + weightOffsets[index] : address(tensor, slot);
  return start + buffer.offset();
}

std::span<std::byte> CudaTensors::host(int index, int slot) {
  const executable::Tensor &tensor = message.tensors(index);
  if (isWeight(tensor)) // nobody writes it there
    return {const_cast<std::byte *>(stored(tensor).data()), tensor.bytes()};
  if (tensor.role() != executable::CACHE)
    slot = 0;
  auto known = mirrors[index].find(slot);
  if (isTransferred(tensor) && known != mirrors[index].end() && !isReleased[index])
    return known->second->span();
  isReleased[index] = false;
  std::unique_ptr<PinnedMemory> made;
  if (known == mirrors[index].end())
    made = std::make_unique<PinnedMemory>(stream.driver, tensor.bytes());
  PinnedMemory &memory = made ? *made : *known->second;
  stream.download(memory.span(), address(tensor, slot));
  stream.wait("copying a tensor from the GPU");
  if (made)
    mirrors[index][slot] = std::move(made);
  if (!isTransferred(tensor))
    written.insert({index, slot});
  return memory.span();
}

void CudaTensors::upload(const executable::Program &program) {
  sendInputs(program);
  if (!written.empty())
    sendWritten();
}

void CudaTensors::sendInputs(const executable::Program &program) {
  sent.wait("copying inputs to the GPU");
  for (uint32_t input : program.inputs()) {
    auto mirror = mirrors[input].find(0);
    if (mirror == mirrors[input].end())
      continue;
    std::span<const std::byte> from = mirror->second->span();
    std::unique_ptr<PinnedMemory> &memory = staged[input];
    if (memory && !isWritten[input] && std::ranges::equal(from, memory->span()))
      continue; // it is still there
    if (!memory)
      memory = std::make_unique<PinnedMemory>(stream.driver, from.size());
    std::ranges::copy(from, memory->span().begin());
    stream.upload(address(message.tensors(static_cast<int>(input)), 0), memory->span());
  }
  sent.record(stream);
}

void CudaTensors::sendWritten() {
  for (auto [tensor, slot] : written)
    stream.upload(address(message.tensors(tensor), slot), mirrors[tensor].at(slot)->span());
  // Their memory goes when the copies are done; spans of them end with a run.
  stream.wait("copying to the GPU");
  for (auto [tensor, slot] : written)
    mirrors[tensor].erase(slot);
  written.clear();
}

bool CudaTensors::download(const executable::Program &program) {
  bool any = false;
  for (uint32_t output : program.outputs())
    if (auto memory = mirrors[output].find(0);
        memory != mirrors[output].end() && !isReleased[output]) {
      stream.download(memory->second->span(),
                      address(message.tensors(static_cast<int>(output)), 0));
      any = true;
    }
  return any;
}

Pointer CudaTensors::address(const executable::Tensor &tensor, int slot) const {
  if (tensor.role() == executable::CACHE)
    return arena.data() + layout.slots + slot * layout.slotBytes + tensor.arena_offset();
  return arena.data() + tensor.arena_offset();
}

std::span<const std::byte> CudaTensors::stored(const executable::Tensor &tensor) const {
  return executable.data().subspan(tensor.data_offset(), tensor.bytes());
}

/// Notes that [place, place + bytes) of the arena is in use.
void CudaTensors::touch(Pointer place, uint64_t bytes) {
  peak = std::max(peak, alignUp(place - arena.data() + bytes));
}

void CudaTensors::fillWeights() {
  for (int i = 0; i < message.tensors_size(); ++i)
    if (const executable::Tensor &tensor = message.tensors(i); isWeight(tensor))
      stream.upload(weights.data() + weightOffsets[i], stored(tensor));
}

void CudaTensors::fillState() {
  for (const executable::Tensor &tensor : message.tensors()) {
    if (isWeight(tensor))
      continue;
    int last = tensor.role() == executable::CACHE ? slots - 1 : 0;
    for (int slot = 0; slot <= last; ++slot)
      touch(address(tensor, slot), tensor.bytes());
    if (tensor.data_offset() >= 0)
      stream.upload(address(tensor, 0), stored(tensor));
  }
}

void CudaTensors::touchTransient() {
  for (const executable::Program &program : message.programs())
    for (const executable::Launch &launch : program.launches())
      for (uint32_t index : launch.buffers())
        if (const executable::Buffer &buffer = program.buffers(static_cast<int>(index));
            buffer.segment() == executable::Buffer::TRANSIENT)
          touch(place(buffer, 0), buffer.bytes());
  if (layout.scratchBytes > 0)
    touch(scratch(), layout.scratchBytes);
}

} // namespace lmc
