#include "runtime/Arena.h"
#include "runtime/CudaDriver.h"
#include "runtime/PagePool.h"
#include "runtime/Session.h"
#include "runtime/Team.h"

#include <array>

namespace lmc {
namespace {

enum Category { Parameters, Gradients, Moments, InputsOutputs, State, MappedWeights };

Category categoryOf(const executable::Tensor &tensor) {
  if (tensor.arena_offset() < 0)
    return MappedWeights;
  switch (tensor.role()) {
  case executable::PARAMETER:
    return Parameters;
  case executable::GRADIENT:
    return Gradients;
  case executable::MOMENT:
    return Moments;
  case executable::INPUT:
  case executable::OUTPUT:
    return InputsOutputs;
  default:
    return State;
  }
}

} // namespace

std::vector<LedgerRow> memoryLedger(const Executable &executable, int threads, int slots) {
  const executable::Executable &message = executable.message();
  uint64_t workers = isCudaTarget(message.target()) ? 1 : resolveThreads(threads);
  if (pageLayout(executable))
    slots = 1; // sequences share the pool
  ArenaLayout layout(message, int(workers), slots);

  std::array<LedgerRow, 6> rows{{{"parameters"},
                                 {"gradients"},
                                 {"moments"},
                                 {"inputs_outputs"},
                                 {"state"},
                                 {"mapped_weights"}}};
  LedgerRow caches{"caches", slots * layout.slotBytes};
  uint64_t placed = 0; // of the state region
  for (const executable::Tensor &tensor : message.tensors()) {
    if (tensor.role() == executable::CACHE && tensor.arena_offset() >= 0) {
      caches.count += slots;
      continue;
    }
    LedgerRow &row = rows[categoryOf(tensor)];
    uint64_t bytes = tensor.arena_offset() < 0 ? tensor.bytes() : alignUp(tensor.bytes());
    row.bytes += bytes;
    ++row.count;
    if (tensor.arena_offset() >= 0)
      placed += bytes;
  }
  // Gaps that the planner left between tensors belong to nobody else.
  rows[State].bytes += layout.slots - placed;

  LedgerRow activations{"activations", layout.scratch - layout.transient};
  for (const executable::Program &program : message.programs())
    for (const executable::Buffer &buffer : program.buffers())
      activations.count += buffer.segment() == executable::Buffer::TRANSIENT;
  LedgerRow workspace{"workspace", layout.bytes - layout.scratch,
                      layout.scratchBytes > 0 ? workers : 0};

  return {rows[Parameters], rows[Gradients], rows[Moments],
          caches,           rows[State],     rows[InputsOutputs],
          activations,      workspace,       rows[MappedWeights]};
}

} // namespace lmc
