// Why:    activations that wait for the backward pass are most of what training takes beside its
//         state; where they do not fit, some are made again when they are needed.
// Before: %h = lm.kernel "matmul"(%x, %w)   ...   %dw = lm.kernel "matmul"(%dy, %h)
// After:  %h = lm.kernel "matmul"(%x, %w)   ...   %r = lm.kernel "matmul"(%x, %w)
//                                                 %dw = lm.kernel "matmul"(%dy, %r)
//         A copy's location is its original's with ".recompute" behind it.
// Needs:  functions of lm.kernel and views; the first result is what the backward pass starts
//         from. Leaves: the same ops, unchanged where the limit holds without recomputing.
//         Numerics: exact (the same kernels on the same inputs).
// Order:  after fusion, which decides what is stored and would merge a copy with its original's
//         readers; before memory planning, whose arithmetic it shares (LaunchList.h). Which launches
//         are picked: RecomputeSearch.h.
#include "passes/Passes.h"

#include "passes/MemoryPlan.h"
#include "passes/RecomputeSearch.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_RECOMPUTE
#include "passes/Passes.h.inc"

namespace {

std::string readable(double bytes) {
  return bytes < (1 << 20) ? llvm::formatv("{0:f1} KiB", bytes / (1 << 10))
                           : llvm::formatv("{0:f1} MiB", bytes / (1 << 20));
}

/// "1234 bytes (1.2 KiB)"
std::string exactly(int64_t bytes) {
  return llvm::formatv("{0} bytes ({1})", bytes, readable(static_cast<double>(bytes)));
}

std::string nameOf(lm::KernelOp kernel) {
  return llvm::formatv("'{0}' ({1})", lm::modelPath(kernel.getLoc()), kernel.getFamily());
}

/// Bytes of the tensors that outlive a run, each once; one slot.
FailureOr<int64_t> persistentBytes(ModuleOp module) {
  llvm::StringMap<int64_t> tensors;
  for (auto function : module.getOps<func::FuncOp>()) {
    auto ranges = function->getAttrOfType<DictionaryAttr>("lm.ranges");
    auto add = [&](StringAttr name, Type type) {
      if (!name)
        return failure();
      int64_t &bytes = tensors[name.getValue()];
      bytes = std::max(bytes, alignedBytes(largestBytes(type, ranges)));
      return success();
    };
    bool named = true;
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      named &= succeeded(
          add(function.getArgAttrOfType<StringAttr>(i, kName), function.getArgumentTypes()[i]));
    for (unsigned i = 0; i < function.getNumResults(); ++i)
      if (!function.getResultAttr(i, kUpdates))
        named &= succeeded(
            add(function.getResultAttrOfType<StringAttr>(i, kName), function.getResultTypes()[i]));
    if (!named)
      return function.emitError() << "an argument or result has no lm.name";
  }
  int64_t total = 0;
  for (const auto &tensor : tensors)
    total += tensor.getValue();
  return total;
}

/// Puts the launches of a plan where they run again.
class Rewriter {
public:
  explicit Rewriter(const LaunchList &list) : list(list) {}

  void apply(const RecomputePlan &plan) {
    if (plan.launches.empty())
      return;
    SmallVector<Operation *> positions;
    for (const LaunchList::Launch &launch : list.launches)
      positions.push_back(launch.kernel);
    // In the list's order, so that a copy finds the copies that it reads.
    size_t next = 0;
    llvm::DenseMap<unsigned, SmallVector<unsigned>> arrivals;
    for (const Recomputed &pick : plan.launches)
      arrivals[pick.before].push_back(pick.launch);
    llvm::DenseSet<Operation *> moved;
    for (const Recomputed &pick : plan.launches)
      if (pick.moved)
        moved.insert(list.launches[pick.launch].kernel);
    for (Operation *launch : positions) {
      for (unsigned pick : arrivals.lookup(next++))
        insertCopy(list.launches[pick], launch);
      for (OpOperand &operand : launch->getOpOperands())
        operand.set(latest(operand.get()));
    }
    // Backwards, so that what reads an original is gone before it.
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*positions.front()->getBlock())))
      if (op.use_empty() && (isView(&op) || moved.contains(&op)))
        op.erase();
  }

private:
  void insertCopy(const LaunchList::Launch &launch, Operation *before) {
    lm::KernelOp original = launch.kernel;
    OpBuilder builder(before);
    auto copy = cast<lm::KernelOp>(builder.clone(*original));
    std::string path = lm::modelPath(original.getLoc());
    copy->setLoc(NameLoc::get(builder.getStringAttr(path + ".recompute")));
    for (OpOperand &operand : copy->getOpOperands())
      operand.set(latest(operand.get()));
    for (unsigned i = 0; i < copy->getNumResults(); ++i)
      if (isReadFromCopy(list, launch, i))
        copies[original->getResult(i)] = copy->getResult(i);
  }

  /// The copy of a value, or of what a view shows, where there is one by now.
  Value latest(Value value) {
    if (Value copy = copies.lookup(value))
      return copy;
    Operation *view = value.getDefiningOp();
    if (!view || !isView(view) || isa<lm::ConcatOp>(view)) // parts of a whole are not recomputed
      return value;
    Value source = latest(view->getOperand(0));
    if (source == view->getOperand(0))
      return value;
    OpBuilder builder(view->getContext());
    builder.setInsertionPointAfterValue(source);
    IRMapping map;
    map.map(view->getOperand(0), source);
    return copies[value] = builder.clone(*view, map)->getResult(0);
  }

  const LaunchList &list;
  llvm::DenseMap<Value, Value> copies;
};

struct Recompute : impl::RecomputeBase<Recompute> {
  using RecomputeBase::RecomputeBase;

  void runOnOperation() override {
    FailureOr<int64_t> persistent = persistentBytes(getOperation());
    if (failed(persistent))
      return signalPassFailure();
    int64_t fixed = *persistent + scratch, needed = fixed, smallest = fixed;
    bool fits = true;
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      makeResultsWritable(function);
      LaunchList list(function);
      RecomputeSearch search(list);
      RecomputePlan before = search.nothing();
      needed = std::max(needed, fixed + before.transientBytes);
      std::optional<RecomputePlan> plan;
      if (fits)
        plan = search.within(limit - fixed);
      if (!plan)
        plan = search.smallest();
      smallest = std::max(smallest, fixed + plan->transientBytes);
      fits &= fixed + plan->transientBytes <= limit;
      if (!fits)
        continue; // what the others need at least is part of the advice
      if (explain)
        describe(function, list, before, *plan);
      Rewriter(list).apply(*plan);
      assert(MemoryPlan(function).transientBytes() == plan->transientBytes &&
             "the search and the planner agree");
    }
    if (fits)
      return;
    getOperation().emitError() << source << ": " << exactly(limit)
                               << " is not enough: the arena takes " << exactly(needed) << ", and "
                               << exactly(smallest)
                               << " with the most recomputing that helps; give at least that, or "
                                  "fewer or shorter sequences a micro-batch";
    signalPassFailure();
  }

private:
  void describe(func::FuncOp function, const LaunchList &list, const RecomputePlan &before,
                const RecomputePlan &plan) {
    double flops = 0, bytes = 0;
    unsigned moved = 0;
    for (const Recomputed &pick : plan.launches) {
      const LaunchList::Launch &launch = list.launches[pick.launch];
      lm::KernelOp kernel = launch.kernel, reader = list.launches[pick.before].kernel;
      double kept = 0;
      for (const LaunchList::Output &output : launch.outputs)
        kept += static_cast<double>(list.buffers[output.buffer].bytes);
      LaunchCost cost(list, launch);
      InFlightDiagnostic remark = kernel.emitRemark();
      remark << nameOf(kernel);
      if (pick.moved) {
        ++moved;
        remark << " runs only in front of " << nameOf(reader)
               << ", which reads it first: " << readable(kept) << " less between them, at no cost";
        continue;
      }
      flops += cost.flops;
      bytes += cost.bytes;
      remark << " is recomputed in front of " << nameOf(reader) << ": " << readable(kept)
             << " less between them, for "
             << llvm::formatv("{0:f1} MFLOP and {1} of reads and writes", cost.flops / 1e6,
                              readable(cost.bytes))
                    .str();
    }
    InFlightDiagnostic remark = function.emitRemark();
    remark << "@" << function.getName() << ": ";
    if (plan.launches.empty()) {
      remark << "nothing is recomputed: " << exactly(before.transientBytes)
             << " of activations fit the limit of " << exactly(limit);
      return;
    }
    remark << exactly(plan.transientBytes) << " of activations instead of "
           << exactly(before.transientBytes) << " to stay within " << exactly(limit) << ": "
           << plan.launches.size() - moved << " launches run again"
           << llvm::formatv(" ({0:f2} GFLOP and {1} of reads and writes a run), {2} run later",
                            flops / 1e9, readable(bytes), moved)
                  .str();
  }
};

} // namespace
} // namespace lmc
