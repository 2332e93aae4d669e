#include "codegen/KernelBody.h"

#include "llvm/ADT/DenseMap.h"

#include <set>
#include <utility>

using namespace mlir;

namespace lmc {

bool isFlat(Block &body, const lm::Shape &space) {
  auto flat = [&](Type type) {
    lm::Shape shape = lm::shapeOf(type);
    return shape == space || shape.empty();
  };
  if (space.empty())
    return false;
  for (BlockArgument argument : body.getArguments())
    if (!flat(argument.getType()))
      return false;
  for (Operation &op : body.without_terminator()) {
    if (auto constant = dyn_cast<lm::ConstantOp>(op); constant && !constant.getValue().isSplat())
      return false;
    bool inPlace = isa<lm::PointwiseOp, lm::ConstantOp>(op) ||
                   (isa<lm::BroadcastOp>(op) && lm::shapeOf(op.getOperand(0)).empty());
    if (!inPlace || !flat(op.getResult(0).getType()))
      return false;
  }
  return true;
}

namespace {

/// Rows of fewer elements are not worth turning: most lanes would stay empty.
constexpr int64_t kShortRow = 4;

/// Which dimension of a map's space each index of a value follows; -1: none.
struct Followed {
  SmallVector<int, 4> at;
  int lane = -1; // unused: of viewIndex
};

/// Values that were visited, with what their indices follow: a value may be read many times.
using Visited = std::set<std::pair<void *, SmallVector<int, 4>>>;

/// Calls leaf(argument, followed) for all buffers that `value` reads; false where one is read in
/// some other way than through views and pointwise ops.
bool forEachLeaf(Value value, const Followed &index, Visited &visited,
                 llvm::function_ref<void(BlockArgument, const Followed &)> leaf) {
  if (!visited.insert({value.getAsOpaquePointer(), index.at}).second)
    return true;
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    leaf(argument, index);
    return true;
  }
  Operation *op = value.getDefiningOp();
  if (auto constant = dyn_cast<lm::ConstantOp>(op))
    return constant.getValue().isSplat();
  if (std::optional<Followed> inner =
          viewIndex(op, index, [] { return -1; }, [](int dim, int64_t) { return dim; }))
    return forEachLeaf(op->getOperand(0), *inner, visited, leaf);
  return isa<lm::PointwiseOp>(op) && llvm::all_of(op->getOperands(), [&](Value operand) {
           return forEachLeaf(operand, index, visited, leaf);
         });
}

} // namespace

std::optional<CrossReads> crossReads(Block &body, const lm::Shape &space) {
  int last = static_cast<int>(space.size()) - 1;
  if (last < 1)
    return std::nullopt;
  Followed own;
  own.at = llvm::to_vector<4>(llvm::seq<int>(0, last + 1));
  std::optional<CrossReads> reads;
  llvm::DenseSet<Value> seen;
  std::function<void(Value)> visit = [&](Value value) {
    Operation *op = value.getDefiningOp();
    if (!op || !seen.insert(value).second)
      return;
    if (isa<lm::PointwiseOp>(op)) {
      for (Value operand : op->getOperands())
        visit(operand);
      return;
    }
    // The leaves' last dimensions say along which dimension of the space they run.
    llvm::SmallDenseSet<int> along;
    bool across = false;
    Visited visited;
    bool known = forEachLeaf(value, own, visited, [&](BlockArgument, const Followed &index) {
      if (index.at.empty() || llvm::all_of(index.at, [](int dim) { return dim < 0; }))
        return;
      along.insert(index.at.back());
      across |= index.at.back() != last && llvm::is_contained(index.at, last);
    });
    if (!known || !across || along.size() != 1 || *along.begin() < 0)
      return;
    int dim = *along.begin();
    if (space[dim].isStatic() && space[dim].size < kShortRow)
      return;
    if (!reads)
      reads = CrossReads{dim, {}};
    if (reads->dim == dim)
      reads->values.push_back(value);
  };
  for (Value output : body.getTerminator()->getOperands())
    visit(output);
  return reads;
}

ColumnSpace::ColumnSpace(Block &body) : reductions(body.getOps<lm::ReduceOp>()) {
  space = lm::shapeOf(reductions.front().getX());
  ArrayRef<lm::Dim> all = space;
  leading = all.take_front(reductions.front().getDims().size());
  outer = all.drop_front(leading.size()).drop_back();
  assert(space.back().isStatic() && "columns are model dimensions");
  columns = space.back().size;
}

TracedOperand traceOperand(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    TracedOperand traced{argument, lm::elementOf(value), {}, {}};
    lm::Shape shape = lm::shapeOf(value);
    for (size_t i = 0; i < shape.size(); ++i)
      traced.steps.emplace_back(ArrayRef<lm::Dim>(shape).drop_front(i + 1));
    return traced;
  }
  Operation *op = value.getDefiningOp();
  TracedOperand traced = traceOperand(op->getOperand(0));
  if (isa<lm::ConvertOp>(op)) {
    traced.element = lm::elementOf(value);
    return traced;
  }
  traced.whole = false;
  if (auto slice = dyn_cast<lm::SliceOp>(op)) {
    if (slice.getStart() != 0)
      traced.starts.emplace_back(slice.getStart(), traced.steps[slice.getDim()]);
    return traced;
  }
  SmallVector<lm::Shape, 4> steps;
  for (int64_t dim : cast<lm::TransposeOp>(op).getPermutation())
    steps.push_back(traced.steps[dim]);
  traced.steps = steps;
  return traced;
}

SmallVector<SmallVector<lm::ReduceOp>> reductionLevels(Block &body) {
  SmallVector<SmallVector<lm::ReduceOp>> levels;
  llvm::DenseMap<Value, unsigned> depth;
  for (Operation &op : body.without_terminator()) {
    unsigned deepest = 0;
    for (Value operand : op.getOperands())
      deepest = std::max(deepest, depth.lookup(operand));
    if (auto reduce = dyn_cast<lm::ReduceOp>(op)) {
      if (levels.size() <= deepest)
        levels.resize(deepest + 1);
      levels[deepest].push_back(reduce);
      ++deepest;
    }
    for (Value result : op.getResults())
      depth[result] = deepest;
  }
  return levels;
}

} // namespace lmc
