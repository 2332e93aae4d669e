#include "passes/Views.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace lmc {

int64_t largestBytes(Type type, DictionaryAttr ranges) {
  auto tensor = cast<RankedTensorType>(type);
  int64_t count = 1;
  for (const lm::Dim &dim : lm::shapeOf(type))
    count *= dim.isStatic() ? dim.size : ranges.getAs<DenseI64ArrayAttr>(dim.symbol)[1];
  return count * std::max(8u, tensor.getElementTypeBitWidth()) / 8;
}

bool isView(Operation *op) {
  if (op->getParentOfType<lm::KernelOp>())
    return false;
  if (auto slice = dyn_cast<lm::SliceOp>(op))
    return offsetOf(slice).has_value();
  if (auto concat = dyn_cast<lm::ConcatOp>(op))
    return !offsetsOf(concat).empty();
  return isa<lm::ReshapeOp>(op);
}

/// Do ranges of this dimension lie in one piece? Dimensions in front of it then have one element.
static bool isLeading(Type type, int64_t dim) {
  return cast<RankedTensorType>(type).hasStaticShape() &&
         llvm::all_of(cast<RankedTensorType>(type).getShape().take_front(dim),
                      [](int64_t extent) { return extent == 1; });
}

std::optional<int64_t> offsetOf(lm::SliceOp slice) {
  auto dim = static_cast<int64_t>(slice.getDim());
  if (!isLeading(slice.getX().getType(), dim))
    return {};
  int64_t row = largestBytes(slice.getX().getType(), {}) / lm::shapeOf(slice.getX())[dim].size;
  int64_t offset = static_cast<int64_t>(slice.getStart()) * row;
  return offset % kBufferAlignment ? std::nullopt : std::optional(offset);
}

SmallVector<int64_t> offsetsOf(lm::ConcatOp concat) {
  if (concat.getXs().size() < 2 ||
      !isLeading(concat.getType(), static_cast<int64_t>(concat.getDim())))
    return {};
  SmallVector<int64_t> offsets;
  int64_t offset = 0;
  for (Value part : concat.getXs()) {
    bool elsewhere = llvm::any_of(part.getUses(), [&](OpOperand &use) {
      return use.getOwner()->hasTrait<OpTrait::IsTerminator>() ||
             (isa<lm::ConcatOp>(use.getOwner()) && use.getOwner() != concat);
    });
    if (offset % kBufferAlignment || elsewhere || llvm::count(concat.getXs(), part) > 1)
      return {};
    offsets.push_back(offset);
    offset += largestBytes(part.getType(), {});
  }
  return offsets;
}

Value viewedValue(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<lm::ReshapeOp, lm::SliceOp>(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

lm::ConcatOp wholeOf(Value part) {
  for (Operation *user : part.getUsers())
    if (auto concat = dyn_cast<lm::ConcatOp>(user); concat && isView(concat))
      return concat;
  return {};
}

} // namespace lmc
