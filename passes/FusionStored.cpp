// Which values are stored between kernels, and which are views of those or computed again by readers.
#include "passes/Fusion.h"

#include "passes/Views.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace lmc {

static bool isRounding(Operation *op) {
  auto convert = dyn_cast<lm::ConvertOp>(op);
  return convert && convert.roundsFloats();
}

static bool convertsFloats(Operation *op) {
  auto convert = dyn_cast<lm::ConvertOp>(op);
  return convert && isa<FloatType>(lm::elementOf(convert.getX())) &&
         isa<FloatType>(lm::elementOf(convert.getY()));
}

/// An argument in another float type: whoever reads it can convert as it reads.
static bool isConvertedArgument(Operation *op) {
  return convertsFloats(op) && isa<BlockArgument>(op->getOperand(0));
}

/// What a cache holds in fewer bits.
static bool isWidenedCache(Operation *op) {
  return convertsFloats(op) && !isRounding(op) &&
         op->getOperand(0).getDefiningOp<lm::CacheAppendOp>();
}

Fusion::Kind Fusion::kindOf(Operation *op) const {
  if (isa<lm::ReshapeOp>(op) || views.contains(op))
    return Kind::View;
  if (isConvertedArgument(op) || isWidenedCache(op))
    return Kind::Free;
  if (isa<lm::ConstantOp, lm::IotaOp, lm::BroadcastOp, lm::SliceOp, lm::TransposeOp, lm::SkewOp>(
          op))
    return Kind::Free;
  if (isa<lm::PointwiseOp, lm::ConcatOp>(op))
    return Kind::Pointwise;
  if (auto reduce = dyn_cast<lm::ReduceOp>(op)) {
    int64_t rank = lm::shapeOf(reduce.getX()).size();
    if (reduce.getDims().back() == rank - 1)
      return Kind::RowReduce;
    return reduce.getDims().front() == 0 ? Kind::ColumnReduce : Kind::InnerReduce;
  }
  return Kind::Heavy;
}

bool Fusion::isStored(Value value) const {
  return isa<BlockArgument>(value) || stored.contains(value);
}

bool Fusion::isView(Value value) const {
  return value.getDefiningOp() && kindOf(value.getDefiningOp()) == Kind::View;
}

/// Does a slice or concatenation of what is stored need no kernel? Its operands are decided.
bool Fusion::becomesView(Operation *op) const {
  if (auto slice = dyn_cast<lm::SliceOp>(op))
    return isStored(slice.getX()) && offsetOf(slice);
  auto concat = dyn_cast<lm::ConcatOp>(op);
  return concat && !offsetsOf(concat).empty() && llvm::all_of(concat.getXs(), [&](Value part) {
           return stored.contains(part) &&
                  !isView(part); // a kernel writes it, and may do so anywhere
         });
}

/// Elements at the largest extents of symbols.
int64_t Fusion::largestSize(Value value) const {
  auto ranges = function->getAttrOfType<DictionaryAttr>("lm.ranges");
  int64_t size = 1;
  for (const lm::Dim &dim : lm::shapeOf(value)) {
    if (dim.isStatic())
      size *= dim.size;
    else if (auto range = ranges ? ranges.getAs<DenseI64ArrayAttr>(dim.symbol) : nullptr)
      size *= range[1];
  }
  return size;
}

/// The stored values that recomputing `value` reads.
void Fusion::addLeaves(Value value, llvm::SetVector<Value> &found) const {
  SmallVector<Value> work = {value};
  llvm::DenseSet<Value> seen;
  while (!work.empty()) {
    Value next = work.pop_back_val();
    if (!seen.insert(next).second)
      continue;
    if (isStored(next))
      found.insert(next);
    else
      llvm::append_range(work, next.getDefiningOp()->getOperands());
  }
}

llvm::SetVector<Value> Fusion::leavesOf(Operation *op) const {
  llvm::SetVector<Value> found;
  for (Value operand : op->getOperands())
    addLeaves(operand, found);
  return found;
}

static bool isAttention(Operation *op) {
  return isa<lm::AttentionOp, lm::AttentionPartsOp, lm::AttentionDqOp, lm::AttentionDkDvOp,
             lm::AttentionDqkvOp>(op);
}

static bool isExpertProduct(Operation *op) {
  return isa<lm::ExpertMatmulOp, lm::ExpertOuterOp>(op);
}

static bool keepsLastDimension(lm::TransposeOp op) {
  return op.getPermutation().back() + 1 == static_cast<int64_t>(op.getPermutation().size());
}

static bool isIndexMap(Operation *op) {
  return isa<lm::BroadcastOp, lm::SliceOp, lm::TransposeOp, lm::SkewOp>(op);
}

/// Does computing the value again from what is stored take a polynomial or a division?
bool Fusion::isDear(Value value) const {
  SmallVector<Value> work = {value};
  llvm::DenseSet<Value> seen;
  while (!work.empty()) {
    Value next = work.pop_back_val();
    if (isStored(next) || !seen.insert(next).second)
      continue;
    Operation *op = next.getDefiningOp();
    if (isa<lm::ExpOp, lm::Expm1Op, lm::LogOp, lm::TanhOp, lm::ErfOp, lm::SinOp, lm::CosOp,
            lm::DivOp, lm::SqrtOp, lm::RsqrtOp>(op))
      return true;
    llvm::append_range(work, op->getOperands());
  }
  return false;
}

/// Stores what windows would compute many times: dear values behind a broadcast that a skew or an
/// inner reduction reads.
void Fusion::storeRepeated(Value window) {
  SmallVector<std::pair<Value, bool>> work = {{window, false}}; // is it repeated?
  llvm::DenseSet<std::pair<Value, unsigned>> seen;
  while (!work.empty()) {
    auto [value, repeated] = work.pop_back_val();
    if (isStored(value) || !seen.insert({value, repeated}).second)
      continue;
    Operation *op = value.getDefiningOp();
    if (repeated && isa<lm::PointwiseOp>(op)) {
      if (isDear(value))
        stored.insert(value);
      continue;
    }
    if (isIndexMap(op) || isa<lm::PointwiseOp>(op))
      for (Value operand : op->getOperands())
        work.emplace_back(operand, repeated || isa<lm::BroadcastOp>(op));
  }
}

void Fusion::findStored() {
  Block &body = function.getBody().front();
  // What is read as it lies in memory; slices and transposes of it are read through strides.
  llvm::DenseSet<Value> required;
  auto require = [&](Operation *reader, Value value) {
    bool converts = isa<lm::MatmulOp, lm::GatherOp>(reader) || isExpertProduct(reader);
    bool moved = false; // by a slice: a generator takes one offset
    while (Operation *op = value.getDefiningOp()) {
      auto slice = dyn_cast<lm::SliceOp>(op);
      auto transpose = dyn_cast<lm::TransposeOp>(op);
      if (slice && slice.getStart() != 0 && std::exchange(moved, true))
        break;
      if (transpose && (isAttention(reader) || isExpertProduct(reader)) &&
          !keepsLastDimension(transpose))
        break; // rows are read in vectors
      if (!slice && !transpose && !(converts && isConvertedArgument(op)) &&
          !(isAttention(reader) && isWidenedCache(op)))
        break;
      value = op->getOperand(0);
    }
    required.insert(value);
  };
  for (Operation &op : body) {
    Kind kind = op.hasTrait<OpTrait::IsTerminator>() ? Kind::View : kindOf(&op);
    if (kind == Kind::View)
      required.insert(op.operand_begin(), op.operand_end()); // as it is: no strides outside kernels
    else if (kind == Kind::Heavy)
      for (Value operand : op.getOperands())
        require(&op, operand);
  }
  for (Operation &op : body.without_terminator()) {
    if (becomesView(&op))
      views.insert(&op);
    switch (kindOf(&op)) {
    case Kind::Free:
      // A kernel of its own only where somebody needs it in memory.
      if (required.contains(op.getResult(0)))
        stored.insert(op.getResult(0));
      break;
    case Kind::Pointwise: {
      Value result = op.getResult(0);
      int64_t size = largestSize(result), large = 0;
      for (Value leaf : leavesOf(&op))
        large += largestSize(leaf) >= size;
      if (required.contains(result) || large > 1 || isRounding(&op))
        stored.insert(result);
      break;
    }
    case Kind::View:
    case Kind::RowReduce:
    case Kind::ColumnReduce:
    case Kind::InnerReduce:
    case Kind::Heavy:
      stored.insert(op.result_begin(), op.result_end());
      break;
    }
  }
  for (Operation &op : body.without_terminator())
    if (isa<lm::SkewOp>(op) || kindOf(&op) == Kind::InnerReduce)
      storeRepeated(op.getOperand(0));
}

} // namespace lmc
