// The row family: pointwise and reductions along rows.
//
// Mapping: a warp a row where rows are short, else a block a row. One pass over the row for each
// level of reductions that depend on each other, then one that stores; rows come from the caches
// after the first. Shared memory: one number a warp for each reduction of a block. Limit: memory
// bandwidth.
#include "codegen/cuda/Expression.h"

using namespace mlir;

namespace lmc::cuda {
namespace {

constexpr unsigned kWarp = 32;
constexpr unsigned kWarpsOfShortRows = 4; ///< rows a block
constexpr unsigned kThreadsOfLongRow = 256;
/// Up to here a warp has a row to itself: 16 elements a lane.
constexpr int64_t kShortRow = 512;

class RowEmitter {
public:
  RowEmitter(Expression &x) : x(x), levels(reductionLevels(x.body)) {
    space = lm::shapeOf(levels.front().front().getX());
    isShort = x.product(space.back()).max <= kShortRow;
    threads = isShort ? kWarpsOfShortRows * kWarp : kThreadsOfLongRow;
  }

  Launch emit() {
    ArrayRef<lm::Dim> rows = ArrayRef<lm::Dim>(space).drop_back();
    if (isShort) {
      x.line(fmt::format("const index_t row = static_cast<index_t>({}) * {} + "
                         "static_cast<index_t>(threadIdx.x / {});",
                         x.block, kWarpsOfShortRows, kWarp));
      x.line(fmt::format("const index_t lane = static_cast<index_t>(threadIdx.x % {});", kWarp));
      // Whole warps leave; there is no barrier of the block below.
      x.line(fmt::format("if (row >= {})", x.text(x.product(rows))));
      x.line("  return;");
    } else {
      x.line(fmt::format("const index_t row = static_cast<index_t>({});", x.block));
      x.line("const index_t lane = static_cast<index_t>(threadIdx.x);");
    }
    row = x.unflatten("row", rows);
    for (ArrayRef<lm::ReduceOp> level : levels)
      reduce(level);
    storeOutputs();
    int64_t rowsOfBlock = isShort ? kWarpsOfShortRows : 1;
    return {gridOf(x.product(rows), rowsOfBlock), threads,
            isShort ? "one warp a row" : "one block a row"};
  }

private:
  Index along(std::string at) const {
    Index index;
    index.at = row;
    index.at.push_back(std::move(at));
    index.lane = static_cast<int>(row.size());
    return index;
  }

  /// The threads of a row take its elements in turns.
  void loop(llvm::function_ref<void(const Index &)> inside) {
    unsigned stride = isShort ? kWarp : kThreadsOfLongRow;
    x.braces(fmt::format("for (index_t c = lane; c < {}; c += {})", x.text(x.product(space.back())),
                         stride),
             [&] { inside(along("c")); });
  }

  /// One pass over the row for reductions that do not depend on each other; defines their results.
  void reduce(ArrayRef<lm::ReduceOp> ops) {
    SmallVector<Reduction> reductions(ops.begin(), ops.end());
    for (Reduction &r : reductions) {
      assert(lm::shapeOf(r.op.getX()) == space && r.op.getDims().size() == 1 &&
             "a row kernel reduces the last dimension of its space");
      x.hoistUniform(r.op.getX(), along("0"));
    }
    for (Reduction &r : reductions)
      r.start(x);
    loop([&](const Index &index) {
      for (Reduction &r : reductions)
        r.combine(x, index);
    });
    for (Reduction &r : reductions) {
      std::string result = x.fresh();
      if (isShort) {
        x.line(fmt::format("const {} {} = lmc::warpReduce<{}>({});", r.type, result, r.combiner,
                           r.sum));
      } else {
        // An array of its own for each reduction: no barrier is needed before its next use.
        unsigned warps = kThreadsOfLongRow / kWarp;
        x.line(fmt::format("__shared__ {} {}_of_warps[{}];", r.type, result, warps));
        x.line(fmt::format("const {} {} = lmc::blockReduce<{}, {}>({}, {}_of_warps);", r.type,
                           result, r.combiner, warps, r.sum, result));
      }
      x.define(r.op.getY(), result);
    }
  }

  void storeOutputs() {
    SmallVector<unsigned> full, perRow;
    for (unsigned i = 0; i < x.numOutputs(); ++i)
      (lm::shapeOf(x.outputValue(i)).size() == space.size() ? full : perRow).push_back(i);
    Index statistic;
    statistic.at = row;
    SmallVector<std::string> statistics;
    for (unsigned output : perRow)
      statistics.push_back(x.evaluate(x.outputValue(output), statistic));
    for (unsigned output : full)
      x.hoistUniform(x.outputValue(output), along("0"));
    if (!full.empty())
      loop([&](const Index &index) {
        // Everything is read before anything is stored: inputs may be overwritten in place.
        SmallVector<std::string> elements;
        for (unsigned output : full)
          elements.push_back(x.evaluate(x.outputValue(output), index));
        for (auto [output, element] : llvm::zip_equal(full, elements))
          x.store(output, element, index);
      });
    if (perRow.empty())
      return;
    // Other threads may still read what the statistics overwrite.
    x.line(isShort ? "__syncwarp();" : "__syncthreads();");
    x.braces("if (lane == 0)", [&] {
      for (auto [output, element] : llvm::zip_equal(perRow, statistics))
        x.store(output, element, statistic);
    });
  }

  Expression &x;
  SmallVector<SmallVector<lm::ReduceOp>> levels;
  lm::Shape space;
  SmallVector<std::string, 4> row;
  bool isShort;
  unsigned threads;
};

} // namespace

Launch emitRow(Expression &x) { return RowEmitter(x).emit(); }

} // namespace lmc::cuda
