#include "passes/RowRegion.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace lmc {
namespace {

/// Everything that reads the op's results, directly or not.
llvm::DenseSet<Operation *> dependentsOf(Operation *op) {
  llvm::DenseSet<Operation *> found = {op};
  SmallVector<Operation *> work = {op};
  while (!work.empty())
    for (Operation *user : work.pop_back_val()->getUsers())
      if (found.insert(user).second)
        work.push_back(user);
  return found;
}

/// Leading dimensions of `shape` that make up the rows with at most one dimension behind them.
int64_t rowDimsOf(ArrayRef<int64_t> shape, int64_t rows) {
  int64_t count = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    count *= shape[i];
    if (count == rows && i + 2 >= shape.size())
      return static_cast<int64_t>(i) + 1;
  }
  return 0;
}

ArrayRef<int64_t> shapeOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape();
}

bool isSumOverRows(lm::MatmulOp op) {
  return op.getTransposeA() && !op.getTransposeB() && shapeOf(op.getA()).size() == 2;
}

bool isRowReduction(lm::ReduceOp op) {
  return op.getDims().size() == 1 &&
         op.getDims()[0] == static_cast<int64_t>(shapeOf(op.getX()).size()) - 1;
}

} // namespace

RowRegion::RowRegion(lm::MatmulOp head)
    : head(head), numRows(ShapedType::getNumElements(shapeOf(head.getY()).drop_back())),
      width(shapeOf(head.getY()).back()), dependent(dependentsOf(head)) {}

std::optional<RowRegion> RowRegion::of(lm::MatmulOp head, std::string &reason) {
  if (!cast<RankedTensorType>(head.getType()).hasStaticShape()) {
    reason = "the number of rows is not known";
    return {};
  }
  if (head.getTransposeA() || shapeOf(head.getB()).size() != 2) {
    reason = "its rows do not share their right side";
    return {};
  }
  RowRegion region(head);
  if (!region.grow(reason))
    return {};
  region.order = llvm::to_vector(llvm::make_first_range(region.leading));
  llvm::sort(region.order, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  return region;
}

int64_t RowRegion::rowDims(OpOperand &operand) const {
  Operation *op = operand.getOwner();
  if (auto matmul = dyn_cast<lm::MatmulOp>(op)) {
    if (rowDims(op) == 0)
      return 1; // both sides of a sum over rows
    return operand.getOperandNumber() == 0 ? rowDims(op) : 0;
  }
  if (auto broadcast = dyn_cast<lm::BroadcastOp>(op))
    return llvm::is_contained(broadcast.getDims(), 0) ? rowDims(op) : 0;
  if (auto reduce = dyn_cast<lm::ReduceOp>(op); reduce && rowDims(op) == 0)
    return reduce.getDims().size();
  if (isa<lm::ReshapeOp>(op))
    return rowDimsOf(shapeOf(operand.get()), numRows);
  return rowDims(op);
}

bool RowRegion::isWide(Value value, int64_t rowDims) const {
  ArrayRef<int64_t> shape = shapeOf(value);
  return rowDims > 0 && static_cast<int64_t>(shape.size()) == rowDims + 1 && shape.back() == width;
}

bool RowRegion::grow(std::string &reason) {
  if (!add(head, static_cast<int64_t>(shapeOf(head.getY()).size()) - 1, reason))
    return false;
  // Members are added at the end.
  for (size_t i = 0; i < leading.size(); ++i) {
    auto [op, rowDims] = *(leading.begin() + i);
    for (OpOperand &operand : op->getOpOperands())
      if (!addOperand(operand, reason))
        return false;
    bool ends = rowDims == 0 || (isa<lm::MatmulOp>(op) && op != head);
    if (ends || !dependent.contains(op) || !isWide(op->getResult(0), rowDims))
      continue;
    for (OpOperand &use : op->getResult(0).getUses())
      if (!addUser(use, reason))
        return false;
  }
  if (!reducesRows) {
    reason = "no loss reduces its rows";
    return false;
  }
  absorbStatistics();
  return true;
}

/// What reads a value of the region's width belongs to the region, or ends it.
bool RowRegion::addUser(OpOperand &use, std::string &reason) {
  Operation *op = use.getOwner();
  int64_t rowDims = leading.lookup(use.get().getDefiningOp());
  if (isa<lm::PointwiseOp>(op))
    return add(op, rowDims, reason);
  if (isa<lm::ReshapeOp>(op)) {
    int64_t after = rowDimsOf(shapeOf(op->getResult(0)), numRows);
    if (isWide(op->getResult(0), after))
      return add(op, after, reason);
  }
  if (auto reduce = dyn_cast<lm::ReduceOp>(op)) {
    if (isRowReduction(reduce)) {
      reducesRows = true;
      return add(op, rowDims, reason);
    }
    if (reduce.getKind() == "sum" && llvm::equal(reduce.getDims(), llvm::seq<int64_t>(0, rowDims)))
      return add(op, 0, reason);
  }
  if (auto matmul = dyn_cast<lm::MatmulOp>(op)) {
    if (isSumOverRows(matmul))
      return add(op, 0, reason);
    if (use.getOperandNumber() == 0 && !matmul.getTransposeA() &&
        shapeOf(matmul.getB()).size() == 2)
      return add(op, rowDims, reason);
  }
  reason = "'" + lm::modelPath(op->getLoc()) + "' (" + op->getName().getStringRef().str() +
           ") reads whole columns of it";
  return false;
}

/// What a member reads is a member too, or comes from outside, where it is sliced or read whole.
bool RowRegion::addOperand(OpOperand &operand, std::string &reason) {
  Operation *op = operand.get().getDefiningOp();
  if (!op || contains(op))
    return true;
  int64_t rowDims = this->rowDims(operand);
  auto constant = dyn_cast<lm::ConstantOp>(op);
  bool isSplat = constant && cast<DenseElementsAttr>(constant.getValue()).isSplat();
  auto broadcast = dyn_cast<lm::BroadcastOp>(op);
  bool spreadsScalar = broadcast && broadcast.getDims().empty();
  bool wide = !isa<lm::MatmulOp>(operand.getOwner()) && isWide(operand.get(), rowDims);
  if (!dependent.contains(op) && !wide)
    return rowDims == 0 || !(isSplat || spreadsScalar) || add(op, rowDims, reason);
  auto iota = dyn_cast<lm::IotaOp>(op);
  auto matches = [&] {
    if (!broadcast)
      return true;
    // Row statistics, or the same for all rows.
    auto rowsOf = llvm::count_if(broadcast.getDims(), [&](int64_t dim) { return dim < rowDims; });
    return rowsOf == 0 || (rowsOf == rowDims && shapeOf(broadcast.getX()).take_front(rowDims) ==
                                                    shapeOf(broadcast.getY()).take_front(rowDims));
  };
  bool perRow = isSplat || (iota && static_cast<int64_t>(iota.getDim()) == rowDims) ||
                (broadcast && matches()) || isa<lm::PointwiseOp>(op);
  if (rowDims > 0 && perRow)
    return add(op, rowDims, reason);
  reason = "'" + lm::modelPath(operand.getOwner()->getLoc()) + "' (" +
           operand.getOwner()->getName().getStringRef().str() +
           (dependent.contains(op) ? ") needs something of all rows first"
                                   : ") reads another value of its width");
  return false;
}

bool RowRegion::add(Operation *op, int64_t rowDims, std::string &reason) {
  auto [at, isNew] = leading.try_emplace(op, rowDims);
  if (isNew || at->second == rowDims)
    return true;
  reason = "'" + lm::modelPath(op->getLoc()) + "' is read with different rows";
  return false;
}

/// What is computed from row statistics alone is one number a row instead of several: the loss.
void RowRegion::absorbStatistics() {
  for (size_t i = 0; i < leading.size(); ++i) {
    auto [op, rowDims] = *(leading.begin() + i);
    if (!dependent.contains(op) ||
        static_cast<int64_t>(shapeOf(op->getResult(0)).size()) != rowDims)
      continue;
    for (Operation *user : op->getUsers()) {
      bool known =
          isa<lm::PointwiseOp>(user) && llvm::all_of(user->getOperands(), [&](Value value) {
            Operation *from = value.getDefiningOp();
            return !from || !dependent.contains(from) || contains(from);
          });
      if (known)
        leading.try_emplace(user, rowDims);
    }
  }
}

} // namespace lmc
