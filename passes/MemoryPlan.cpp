#include "passes/MemoryPlan.h"

#include "passes/Passes.h"

#include "llvm/ADT/STLExtras.h"

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

MemoryPlan::MemoryPlan(func::FuncOp function)
    : function(function), ranges(function->getAttrOfType<DictionaryAttr>("lm.ranges")) {
  insertCopies();
  unsigned next = 0;
  for (Operation &op : function.getBody().front())
    launchIndex[&op] = next++;
  assignStorage();
  placeTransients();
}

/// Launch of the last op that reads a root value directly or through views.
unsigned MemoryPlan::lastRead(Value root) const {
  unsigned last = 0;
  SmallVector<Value> work = {root};
  while (!work.empty())
    for (Operation *user : work.pop_back_val().getUsers()) {
      if (isView(user))
        work.push_back(user->getResult(0));
      else
        last = std::max(last, launchIndex.lookup(user));
    }
  return last;
}

/// Can the kernel write its result straight into the argument's buffer?
bool MemoryPlan::mayTakeOver(lm::KernelOp kernel, BlockArgument argument) const {
  for (Operation &op :
       llvm::make_range(std::next(kernel->getIterator()), kernel->getBlock()->end()))
    for (Value operand : op.getOperands())
      if (viewedValue(operand) == argument && !isView(&op))
        return false;
  for (auto [i, input] : llvm::enumerate(kernel.getInputs()))
    if (viewedValue(input) == argument &&
        (largestBytes(input.getType(), ranges) != largestBytes(argument.getType(), ranges) ||
         !readsInPlace(kernel.getBody().front(), i)))
      return false; // a slice is read at other places than it is written
  return true;
}

/// A kernel before the terminator that copies a value.
static Value copyOf(OpBuilder &builder, Value value) {
  auto copy =
      builder.create<lm::KernelOp>(value.getLoc(), TypeRange(value.getType()), value, "map");
  Block &block = copy.getBody().emplaceBlock();
  Value inside = block.addArgument(value.getType(), value.getLoc());
  OpBuilder::atBlockEnd(&block).create<lm::YieldOp>(value.getLoc(), inside);
  return copy.getResult(0);
}

void MemoryPlan::insertCopies() {
  Operation *terminator = function.getBody().front().getTerminator();
  OpBuilder builder(terminator);
  auto targetOf = [&](OpOperand &result) {
    auto updates = function.getResultAttrOfType<IntegerAttr>(result.getOperandNumber(), kUpdates);
    return updates ? function.getArgument(updates.getInt()) : BlockArgument();
  };
  llvm::DenseSet<Value> overwritten;
  for (OpOperand &result : terminator->getOpOperands())
    if (BlockArgument target = targetOf(result); target && result.get() != target)
      overwritten.insert(target);
  // Old contents that are returned are read before the copies below overwrite their buffers: into
  // an output at once, into another argument by way of a temporary.
  for (OpOperand &result : terminator->getOpOperands()) {
    BlockArgument target = targetOf(result);
    if (overwritten.contains(viewedValue(result.get())) && result.get() != target)
      result.set(copyOf(builder, result.get()));
  }
  llvm::DenseSet<Value> written;
  for (OpOperand &result : terminator->getOpOperands()) {
    Value value = result.get();
    auto kernel = viewedValue(value).getDefiningOp<lm::KernelOp>();
    BlockArgument target = targetOf(result);
    if (target && value == target)
      continue; // unchanged
    bool inPlace = kernel && value == viewedValue(value) && !wholeOf(value) &&
                   written.insert(value).second && (!target || mayTakeOver(kernel, target));
    if (!inPlace)
      result.set(copyOf(builder, value));
  }
}

unsigned MemoryPlan::add(Value value, Storage piece) {
  unsigned index = storage.size();
  storage.push_back(std::make_unique<Storage>(std::move(piece)));
  places[value] = {index};
  return index;
}

/// Does the value take all of its storage?
bool MemoryPlan::isWhole(Value value) const {
  return storageOf(value).bytes == largestBytes(value.getType(), ranges);
}

void MemoryPlan::placeView(Operation *view) {
  if (isa<lm::ConcatOp>(view))
    return; // with its first part
  Place place = places.at(view->getOperand(0));
  if (auto slice = dyn_cast<lm::SliceOp>(view))
    place.offset += *lmc::offsetOf(slice);
  places[view->getResult(0)] = place;
}

/// The first part makes room for all.
void MemoryPlan::placePart(Value part, unsigned now) {
  lm::ConcatOp whole = wholeOf(part);
  if (!places.contains(whole.getY())) {
    unsigned last = now;
    for (Value other : whole.getXs())
      last = std::max({last, launchIndex.at(other.getDefiningOp()), lastRead(other)});
    add(whole.getY(), {"", largestBytes(whole.getType(), ranges), 0, now, last});
  }
  auto number = llvm::find(whole.getXs(), part) - whole.getXs().begin();
  places[part] = {places.at(whole.getY()).storage, offsetsOf(whole)[number]};
}

/// Takes over an input that dies here and is read in place.
bool MemoryPlan::placeOverInput(lm::KernelOp kernel, Value output, unsigned now,
                                llvm::DenseSet<unsigned> &taken) {
  Block &body = kernel.getBody().front();
  for (auto [i, input] : llvm::enumerate(kernel.getInputs())) {
    unsigned candidate = places.at(input).storage;
    Storage &piece = *storage[candidate];
    if (!piece.tensor.empty() || piece.last != now || !isWhole(input) ||
        input.getType() != output.getType() || taken.contains(candidate) || !readsInPlace(body, i))
      continue;
    // The same memory may come in through another operand that is not read in place.
    bool elsewhere = llvm::any_of(llvm::enumerate(kernel.getInputs()), [&](auto other) {
      return places.at(other.value()).storage == candidate &&
             (!isWhole(other.value()) || !readsInPlace(body, other.index()));
    });
    if (elsewhere)
      continue;
    taken.insert(candidate); // by an output of this kernel
    places[output] = {candidate};
    piece.last = std::max(now, lastRead(output));
    return true;
  }
  return false;
}

void MemoryPlan::assignStorage() {
  for (BlockArgument argument : function.getArguments()) {
    auto name = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kName);
    add(argument, {name.str(), largestBytes(argument.getType(), ranges)});
  }
  // Results end up in outputs or in donated arguments.
  llvm::DenseMap<Value, std::string> destination;
  Operation *terminator = function.getBody().front().getTerminator();
  for (OpOperand &result : terminator->getOpOperands()) {
    unsigned number = result.getOperandNumber();
    if (auto updates = function.getResultAttrOfType<IntegerAttr>(number, kUpdates)) {
      if (result.get().getDefiningOp())
        destination[result.get()] =
            function.getArgAttrOfType<StringAttr>(updates.getInt(), kName).str();
    } else {
      destination[result.get()] = function.getResultAttrOfType<StringAttr>(number, kName).str();
    }
  }
  for (Operation &op : function.getBody().front().without_terminator()) {
    if (isView(&op)) {
      placeView(&op);
      continue;
    }
    auto kernel = cast<lm::KernelOp>(op);
    unsigned now = launchIndex.at(&op);
    llvm::DenseSet<unsigned> taken;
    for (Value output : kernel.getOutputs()) {
      int64_t bytes = largestBytes(output.getType(), ranges);
      if (auto at = destination.find(output); at != destination.end())
        add(output, {at->second, bytes});
      else if (wholeOf(output))
        placePart(output, now);
      else if (!placeOverInput(kernel, output, now, taken))
        add(output, {"", bytes, 0, now, std::max(now, lastRead(output))});
    }
  }
}

/// Largest first, each at the lowest offset that is free for its whole life. Within a few percent
/// of the lower bound (bytes live at once) on training steps; the ledger prints both.
void MemoryPlan::placeTransients() {
  SmallVector<Storage *> waiting, placed;
  for (auto &piece : storage)
    if (piece->tensor.empty())
      waiting.push_back(piece.get());
  llvm::stable_sort(waiting, [](Storage *a, Storage *b) { return a->bytes > b->bytes; });
  for (Storage *piece : waiting) {
    SmallVector<std::pair<int64_t, int64_t>> busy;
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
}

} // namespace lmc
