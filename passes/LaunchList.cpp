#include "passes/LaunchList.h"

#include "ir/Segments.h"
#include "passes/Passes.h"

#include "llvm/ADT/STLExtras.h"

#include <numeric>

using namespace mlir;

namespace lmc {

bool readsInPlace(Block &kernel, unsigned index) {
  SmallVector<Value> work = {kernel.getArgument(index)};
  llvm::DenseSet<Value> seen;
  while (!work.empty()) {
    Value value = work.pop_back_val();
    if (!seen.insert(value).second)
      continue;
    for (Operation *user : value.getUsers()) {
      if (user->hasTrait<OpTrait::IsTerminator>())
        continue;
      if (auto append = dyn_cast<lm::CacheAppendOp>(user)) {
        if (append.getCache() != value)
          return false;
        continue; // writes behind the past tokens, keeps the rest
      }
      if (auto reduce = dyn_cast<lm::ReduceOp>(user)) {
        if (reduce.getDims().back() != static_cast<int64_t>(lm::shapeOf(value).size()) - 1)
          return false;
        continue;
      }
      if (!isa<lm::PointwiseOp>(user))
        return false;
      work.push_back(user->getResult(0));
    }
  }
  return true;
}

LaunchList::LaunchList(func::FuncOp function) {
  auto ranges = function->getAttrOfType<DictionaryAttr>("lm.ranges");
  auto bytesOf = [&](Value value) { return largestBytes(value.getType(), ranges); };
  auto add = [&](Value value, StringRef tensor) {
    places[value] = {static_cast<unsigned>(buffers.size())};
    buffers.push_back({bytesOf(value), tensor});
  };
  auto argumentName = [&](unsigned number) {
    return function.getArgAttrOfType<StringAttr>(number, kName).getValue();
  };
  for (BlockArgument argument : function.getArguments())
    add(argument, argumentName(argument.getArgNumber()));
  // Results end up in outputs or in donated arguments.
  llvm::DenseMap<Value, StringRef> destination;
  Operation *terminator = function.getBody().front().getTerminator();
  for (OpOperand &result : terminator->getOpOperands()) {
    unsigned number = result.getOperandNumber();
    if (auto updates = function.getResultAttrOfType<IntegerAttr>(number, kUpdates)) {
      if (result.get().getDefiningOp())
        destination[result.get()] = argumentName(updates.getInt());
    } else {
      destination[result.get()] =
          function.getResultAttrOfType<StringAttr>(number, kName).getValue();
    }
  }
  auto addOutput = [&](Value output) {
    lm::ConcatOp whole = wholeOf(output);
    if (!whole)
      return add(output, destination.lookup(output));
    if (!places.contains(whole.getY())) // the first part makes room for all
      add(whole.getY(), {});
    auto number = llvm::find(whole.getXs(), output) - whole.getXs().begin();
    places[output] = {places.at(whole.getY()).buffer, offsetsOf(whole)[number]};
  };
  for (Operation &op : function.getBody().front().without_terminator()) {
    if (isa<lm::ConcatOp>(op))
      continue; // placed with its first part
    if (isView(&op)) {
      Place place = places.at(op.getOperand(0));
      if (auto slice = dyn_cast<lm::SliceOp>(op))
        place.offset += *offsetOf(slice);
      places[op.getResult(0)] = place;
      continue;
    }
    Launch launch{cast<lm::KernelOp>(op), {}, {}};
    Segments segments(launch.kernel.getSegmentsAttr());
    for (auto [i, input] : llvm::enumerate(launch.kernel.getInputs())) {
      unsigned buffer = places.at(input).buffer;
      bool inPlace = bytesOf(input) == buffers[buffer].bytes &&
                     readsInPlace(launch.kernel.getBody().front(), i);
      launch.inputs.push_back({buffer, input.getType(), inPlace, segments.ofInput(i)});
    }
    for (auto [i, output] : llvm::enumerate(launch.kernel.getOutputs())) {
      addOutput(output);
      launch.outputs.push_back({places.at(output).buffer, output.getType(),
                                static_cast<bool>(wholeOf(output)), segments.ofOutput(i)});
    }
    launches.push_back(std::move(launch));
  }
  for (Value result : terminator->getOperands())
    results.push_back(places.at(result).buffer);
  if (terminator->getNumOperands() > 0)
    loss = terminator->getOperand(0);
}

Placement::Placement(const LaunchList &list)
    : pieceOf(list.buffers.size()), numLaunches(list.launches.size()) {
  std::vector<unsigned> lastUse(list.buffers.size(), 0);
  std::vector<bool> written(list.buffers.size(), false);
  for (auto [now, launch] : llvm::enumerate(list.launches)) {
    for (const LaunchList::Input &input : launch.inputs)
      lastUse[input.buffer] = now;
    for (const LaunchList::Output &output : launch.outputs) {
      lastUse[output.buffer] = now;
      written[output.buffer] = true;
    }
  }
  for (unsigned result : list.results)
    lastUse[result] = numLaunches;

  auto add = [&](unsigned buffer, unsigned first, unsigned last) {
    pieceOf[buffer] = pieces.size();
    pieces.push_back({list.buffers[buffer].tensor, list.buffers[buffer].bytes, 0, first, last});
  };
  for (unsigned buffer = 0; buffer < list.buffers.size(); ++buffer)
    if (!written[buffer] && !list.buffers[buffer].tensor.empty())
      add(buffer, 0, 0);

  std::vector<bool> hasPiece(list.buffers.size(), false); // of what launches write
  for (auto [now, launch] : llvm::enumerate(list.launches)) {
    SmallVector<unsigned> taken; // pieces reused by an output of this launch
    for (const LaunchList::Output &output : launch.outputs) {
      if (hasPiece[output.buffer])
        continue; // a further part
      hasPiece[output.buffer] = true;
      const LaunchList::Buffer &own = list.buffers[output.buffer];
      unsigned last = lastUse[output.buffer];
      // Take over an input that dies here and is read in place, also where the same memory comes in
      // through another operand. Of a joined kernel other segments know nothing of this one's progress.
      auto mayReuse = [&](const LaunchList::Input &input) {
        unsigned candidate = pieceOf[input.buffer];
        const Storage &piece = pieces[candidate];
        return piece.tensor.empty() && piece.last == now && piece.bytes == own.bytes &&
               input.type == output.type && !llvm::is_contained(taken, candidate) &&
               llvm::all_of(launch.inputs, [&](const LaunchList::Input &other) {
                 return (other.inPlace && other.segment == output.segment) ||
                        pieceOf[other.buffer] != candidate;
               });
      };
      bool mayTakeOver = own.tensor.empty() && !output.isPart;
      const auto *reused =
          mayTakeOver ? llvm::find_if(launch.inputs, mayReuse) : launch.inputs.end();
      if (reused == launch.inputs.end()) {
        add(output.buffer, now, last);
        continue;
      }
      unsigned piece = pieceOf[output.buffer] = pieceOf[reused->buffer];
      taken.push_back(piece);
      pieces[piece].last = last;
    }
  }
}

/// Largest first, each at the lowest offset that is free for its whole life. Within a few percent
/// of the lower bound (bytes live at once) on training steps.
int64_t Placement::place() {
  int64_t total = 0;
  SmallVector<Storage *> waiting, placed;
  for (Storage &piece : pieces)
    if (piece.tensor.empty())
      waiting.push_back(&piece);
  llvm::stable_sort(waiting, [](Storage *a, Storage *b) { return a->bytes > b->bytes; });
  SmallVector<std::pair<int64_t, int64_t>> busy;
  for (Storage *piece : waiting) {
    busy.clear();
    for (Storage *other : placed)
      if (other->first <= piece->last && piece->first <= other->last)
        busy.emplace_back(other->offset, other->offset + alignedBytes(other->bytes));
    llvm::sort(busy);
    int64_t offset = 0;
    for (auto [begin, end] : busy) {
      if (offset + piece->bytes <= begin)
        break;
      offset = std::max(offset, end);
    }
    piece->offset = offset;
    total = std::max(total, offset + alignedBytes(piece->bytes));
    placed.push_back(piece);
  }
  return total;
}

std::vector<int64_t> Placement::liveBytes() const {
  std::vector<int64_t> live(numLaunches + 1, 0);
  for (const Storage &piece : pieces)
    if (piece.tensor.empty()) {
      live[piece.first] += alignedBytes(piece.bytes);
      if (piece.last < numLaunches)
        live[piece.last + 1] -= alignedBytes(piece.bytes);
    }
  std::partial_sum(live.begin(), live.end(), live.begin());
  return live;
}

} // namespace lmc
