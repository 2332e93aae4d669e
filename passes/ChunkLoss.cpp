// Why:    logits [B, T, V] and their cotangent are the largest values of a training step (GPT-2 with
//         4 x 256 tokens: 206 MB). Computed for some rows (tokens) at a time they are bounded by a
//         chunk, and nothing is computed twice.
// Before: %l = lm.matmul %x, %w   %loss = f(%l)   %dl = f'(%l)   %dx = lm.matmul %dl, %w
//         %dw = lm.matmul %dl, %x {transpose_a}
// After:  for each chunk i, one after the other
//           %xi = lm.slice %x   %li = lm.matmul %xi, %w   %lossi = f(%li)   %dli = f'(%li)
//           %dxi = lm.matmul %dli, %w   %dwi = lm.add(lm.matmul %dli, %xi {transpose_a}, %dw(i-1))
//         %loss = lm.concat %lossi...   %dx = lm.concat %dxi...
// Needs:  primitives, static rows. Leaves: primitives; slices and concatenations of rows are views
//         after fusion. A loss of any form splits that RowRegion.h can follow, forward alone too.
//         Numerics: reassociates sums over rows (dw): by chunks, in ascending order, chosen from
//         shapes alone. Everything else is exact, row by row.
// Order:  after decomposition, where every loss is pointwise ops and reductions along rows, before
//         fusion, which puts loss and cotangent of a chunk into one kernel.
//
// Why not chunks of the vocabulary: the cotangent needs the log-sum-exp of whole rows, so all chunks
// but the last would need their logits, a third of the loss's products, a second time. Chunks of rows
// only read and write %dw once more each: 8 V D bytes of memory traffic beside 6 c V D operations.
// Measured with one layer and GPT-2's head, 2048 tokens in 8 chunks: time within the noise of a busy
// machine, losses equal in every digit for three steps and to 1e-7 in the fourth.
//
// But %dw is there from the first chunk on, where activations are still whole: c + D rows of V take
// the place of all rows. So what is saved decides (kChunkBytes): training GPT-2 124M (D = 768) with
// 4 x 256 tokens would save nothing with chunks of 256 and stays whole; from 1,400 tokens on it is
// split.
#include "passes/Passes.h"

#include "passes/RowRegion.h"
#include "passes/Views.h"

#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_CHUNKLOSS
#include "passes/Passes.h.inc"

namespace {

/// Logits of a chunk, unless kLeastRows need more; and what splitting must save: less memory would
/// not pay for more launches.
constexpr int64_t kChunkBytes = 64 << 20;
/// With fewer rows the products are slower and %dw is moved too often.
constexpr int64_t kLeastRows = 128;
/// Rows of i32, f32 and bf16 begin at multiples of kBufferAlignment, so that chunks are views.
constexpr int64_t kRowUnit = 32;

/// Rows of a chunk; `rows` or more: one chunk.
int64_t chunkRows(int64_t rows, int64_t rowBytes) {
  int64_t most = std::max(kLeastRows, kChunkBytes / rowBytes / kRowUnit * kRowUnit);
  if (rows <= most)
    return rows;
  // Equal chunks share their kernels.
  for (int64_t size = most; size >= std::max(kLeastRows, most / 2); size -= kRowUnit)
    if (rows % size == 0)
      return size;
  int64_t chunks = (rows + most - 1) / most;
  int64_t units = (rows + chunks * kRowUnit - 1) / (chunks * kRowUnit);
  return units * kRowUnit;
}

/// Replaces a region by chunks.
class Chunks {
public:
  Chunks(const RowRegion &region, int64_t size) : region(region), size(size), builder(last()) {
    builder.setInsertionPointAfter(last());
  }

  void rewrite() {
    for (int64_t start = 0; start < region.rows(); start += size)
      cloneRows(start, std::min(size, region.rows() - start));
    for (auto &[op, parts] : pieces) {
      lm::GraphBuilder g(builder, op->getLoc());
      Value whole = g.reshape(g.concat(parts, 0), lm::shapeOf(op->getResult(0)));
      op->getResult(0).replaceUsesWithIf(whole, isOutside());
    }
    for (auto [op, sum] : sums)
      op->getResult(0).replaceUsesWithIf(sum, isOutside());
    for (Operation *op : llvm::reverse(region.ops()))
      if (op->use_empty())
        op->erase();
  }

private:
  Operation *last() const {
    return *llvm::find_if(llvm::reverse(region.ops()),
                          [&](Operation *op) { return region.depends(op); });
  }

  std::function<bool(OpOperand &)> isOutside() const {
    return [this](OpOperand &use) { return !region.contains(use.getOwner()); };
  }

  /// [rows..., rest] -> [count, rest].
  static lm::Shape rowShape(Value value, int64_t rowDims, int64_t count) {
    lm::Shape shape = {lm::Dim(count)};
    llvm::append_range(shape, ArrayRef<lm::Dim>(lm::shapeOf(value)).drop_front(rowDims));
    return shape;
  }

  void cloneRows(int64_t start, int64_t count) {
    IRMapping rows;
    for (Operation *op : region.ops()) {
      lm::GraphBuilder g(builder, op->getLoc());
      IRMapping local;
      for (OpOperand &operand : op->getOpOperands())
        if (int64_t rowDims = region.rowDims(operand))
          local.map(operand.get(), rowsOf(operand.get(), rowDims, start, count, rows));
      Value result = op->getResult(0), part = clone(g, op, count, local);
      rows.map(result, part);
      if (!llvm::any_of(result.getUses(), isOutside()) || !region.depends(op))
        continue;
      if (region.rowDims(op) > 0) {
        pieces[op].push_back(part);
      } else {
        Value &sum = sums[op];
        sum = sum ? g.add(part, sum) : part;
      }
    }
  }

  /// The rows of an operand: of this chunk's clone, or a slice of what comes from outside.
  Value rowsOf(Value value, int64_t rowDims, int64_t start, int64_t count, IRMapping &rows) {
    if (Value known = rows.lookupOrNull(value))
      return known;
    lm::GraphBuilder g(builder, value.getLoc());
    Value &flat = flattened[value];
    if (!flat)
      flat = g.reshape(value, rowShape(value, rowDims, region.rows()));
    Value slice = g.slice(flat, 0, start, count);
    rows.map(value, slice);
    return slice;
  }

  Value clone(lm::GraphBuilder g, Operation *op, int64_t count, IRMapping &operands) {
    int64_t rowDims = region.rowDims(op);
    Value result = op->getResult(0);
    if (isa<lm::ReshapeOp>(op))
      return operands.lookup(op->getOperand(0));
    Type type = result.getType();
    if (rowDims > 0)
      type = lm::tensorType(rowShape(result, rowDims, count), lm::elementOf(result));
    Operation *copy = g.b.clone(*op, operands);
    copy->getResult(0).setType(type);
    auto behindRows = [&](ArrayRef<int64_t> dims, int64_t rowDims) {
      SmallVector<int64_t> moved;
      for (int64_t dim : dims)
        if (dim >= rowDims)
          moved.push_back(dim - rowDims + 1);
      return moved;
    };
    if (auto constant = dyn_cast<lm::ConstantOp>(copy)) {
      constant.setValueAttr(
          cast<DenseElementsAttr>(constant.getValue()).resizeSplat(cast<ShapedType>(type)));
    } else if (auto iota = dyn_cast<lm::IotaOp>(copy)) {
      iota.setDim(1);
    } else if (auto broadcast = dyn_cast<lm::BroadcastOp>(copy)) {
      SmallVector<int64_t> dims = behindRows(broadcast.getDims(), rowDims);
      if (region.rowDims(op->getOpOperand(0)) > 0)
        dims.insert(dims.begin(), 0);
      broadcast.setDims(dims);
    } else if (auto reduce = dyn_cast<lm::ReduceOp>(copy)) {
      reduce.setDims({rowDims > 0 ? 1 : 0});
    }
    return copy->getResult(0);
  }

  const RowRegion &region;
  int64_t size;
  OpBuilder builder;
  llvm::DenseMap<Value, Value> flattened;                  ///< [rows, rest]
  llvm::MapVector<Operation *, SmallVector<Value>> pieces; ///< read outside
  llvm::MapVector<Operation *, Value> sums;
};

struct ChunkLoss : impl::ChunkLossBase<ChunkLoss> {
  using ChunkLossBase::ChunkLossBase;

  void runOnOperation() override {
    Block &body = getOperation().getBody().front();
    SmallVector<lm::MatmulOp> products(body.getOps<lm::MatmulOp>());
    for (lm::MatmulOp product : products)
      if (!replaced.contains(product))
        split(product);
    if (!replaced.empty())
      sortTopologically(&body); // what reads a loss may stand in front of its last chunk
    replaced.clear();
  }

private:
  void split(lm::MatmulOp product) {
    auto type = cast<RankedTensorType>(product.getType());
    if (!type.hasStaticShape() || (rows == 0 && largestBytes(type, {}) < 2 * kChunkBytes))
      return;
    int64_t total = ShapedType::getNumElements(type.getShape().drop_back());
    int64_t rowBytes = largestBytes(type, {}) / total;
    int64_t size = rows > 0 ? rows.getValue() : chunkRows(total, rowBytes);
    if (size >= total)
      return;
    std::string reason;
    std::optional<RowRegion> region = RowRegion::of(product, reason);
    int64_t saved = (total - size) * rowBytes - (region ? sumBytes(*region) : 0);
    if (region && rows == 0 && saved < kChunkBytes) {
      region.reset();
      reason = "the sums over chunks would take as much memory";
    }
    if (explain)
      product.emitRemark() << "'" << lm::modelPath(product.getLoc()) << "' "
                           << (region ? "is computed " + std::to_string(size) + " of " +
                                            std::to_string(total) + " rows at a time"
                                      : "is not computed in chunks of rows: " + reason);
    if (!region)
      return;
    replaced.insert(region->ops().begin(), region->ops().end());
    Chunks(*region, size).rewrite();
  }

  /// What sums over all rows need from the first chunk on; unsplit, they come when the rest is gone.
  static int64_t sumBytes(const RowRegion &region) {
    int64_t bytes = 0;
    for (Operation *op : region.ops())
      if (region.rowDims(op) == 0)
        bytes += largestBytes(op->getResult(0).getType(), {});
    return bytes;
  }

  llvm::DenseSet<Operation *> replaced; ///< ops of regions that are chunks now
};

} // namespace
} // namespace lmc
