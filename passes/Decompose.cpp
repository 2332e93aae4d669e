// Why:    kernels are made of few primitives; a composite needs no kernel of its own.
// Before: %y = lm.rms_norm %x, %w {eps = 1e-05}
// After:  lm.mul, lm.reduce, lm.broadcast, lm.rsqrt, ...
// Needs:  nothing. Leaves: primitives; each lm.reduce runs over the last dimension (a row), over
//         leading dimensions (columns) or over few elements of inner ones. Numerics: exact (composites are defined by this form).
// Order:  after differentiation (adjoints read composites), before fusion.
#include "passes/Passes.h"

#include "ir/Dialect.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_DECOMPOSE
#include "passes/Passes.h.inc"

namespace {

struct DecomposeComposite : OpInterfaceRewritePattern<lm::CompositeOp> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;

  LogicalResult matchAndRewrite(lm::CompositeOp op, PatternRewriter &rewriter) const override {
    if (isa<lm::AttentionGradOp>(op))
      return rewriter.notifyMatchFailure(op, "lm-flash-attention lowers it");
    lm::GraphBuilder g(rewriter, op->getLoc());
    SmallVector<Value> results = op.decompose(g);
    rewriter.replaceOp(op, results);
    return success();
  }
};

/// Largest row that one worker sums alone when everything is reduced to a scalar.
constexpr int64_t kSingleRow = 1 << 16;

/// Up to so many elements of inner dimensions (the taps of a window) are summed by a map, one after the
/// other; more of them keep the slices of a column kernel busy.
constexpr int64_t kInner = 64;

/// Is the reduction one over few elements between the first dimension and the last?
bool isInner(ArrayRef<int64_t> dims, const lm::Shape &shape) {
  if (dims.front() == 0 || dims.back() == static_cast<int64_t>(shape.size()) - 1)
    return false;
  int64_t count = 1;
  return llvm::all_of(dims, [&](int64_t dim) {
    return shape[dim].isStatic() && (count *= shape[dim].size) <= kInner;
  });
}

/// The value as one row. A function of one value (its squares) becomes that function of the row:
/// otherwise what is only summed would be stored, and its maker wait for the sum.
Value asRow(lm::GraphBuilder &g, Value value, int64_t count) {
  Operation *op = value.getDefiningOp();
  lm::Shape row = {lm::Dim(count)};
  if (!isa_and_nonnull<lm::PointwiseOp>(op) || isa<lm::ConvertOp>(op) ||
      !llvm::all_equal(op->getOperands()) || lm::shapeOf(op->getOperand(0)) != lm::shapeOf(value))
    return g.reshape(value, row);
  IRMapping map;
  map.map(op->getOperand(0), g.reshape(op->getOperand(0), row));
  Operation *copy = g.b.clone(*op, map);
  copy->getResult(0).setType(lm::tensorType(row, lm::elementOf(value)));
  return copy->getResult(0);
}

/// Splits a reduction that is neither along rows nor along columns, nor a short inner one.
struct SplitReduction : OpRewritePattern<lm::ReduceOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(lm::ReduceOp op, PatternRewriter &rewriter) const override {
    lm::Shape shape = lm::shapeOf(op.getX());
    int64_t rank = shape.size();
    ArrayRef<int64_t> dims = op.getDims();
    bool row = dims.size() == 1 && dims[0] == rank - 1;
    bool columns = static_cast<int64_t>(dims.size()) < rank &&
                   dims.back() == static_cast<int64_t>(dims.size()) - 1;
    if (dims.empty() || row || columns || isInner(dims, shape))
      return rewriter.notifyMatchFailure(op, "some family computes it as it is");
    lm::GraphBuilder g(rewriter, op.getLoc());
    auto reduce = [&](Value x, ArrayRef<int64_t> over) {
      return op.getKind() == "sum" ? g.sum(x, over) : g.max(x, over);
    };
    auto [count, symbols] = lm::elementCount(shape);
    if (static_cast<int64_t>(dims.size()) == rank && symbols.empty() && count <= kSingleRow) {
      rewriter.replaceOp(op, reduce(asRow(g, op.getX(), count), {0}));
      return success();
    }
    // The last dimension first where it is reduced; otherwise bring the reduced ones to the front.
    if (dims.back() == rank - 1) {
      rewriter.replaceOp(op, reduce(reduce(op.getX(), {rank - 1}), dims.drop_back()));
      return success();
    }
    SmallVector<int64_t> order(dims);
    for (int64_t dim = 0; dim < rank; ++dim)
      if (!llvm::is_contained(dims, dim))
        order.push_back(dim);
    auto leading = llvm::to_vector(llvm::seq<int64_t>(0, dims.size()));
    rewriter.replaceOp(op, reduce(g.transpose(op.getX(), order), leading));
    return success();
  }
};

struct Decompose : impl::DecomposeBase<Decompose> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<DecomposeComposite, SplitReduction>(&getContext());
    if (failed(applyPatternsAndFoldGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace lmc
