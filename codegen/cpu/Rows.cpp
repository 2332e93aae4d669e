// The row family: reductions along the last dimension and what is computed from them.
//
// Mapping: a work item is one row. A kernel makes one pass over its row for each level of reductions
// that depend on each other, then one that stores; rows stay in cache between passes. What is dear
// to compute (exp, tanh, ...) and wanted in two passes is kept in scratch by the first of them; the
// last pass fetches the row after it. Limit: reading the inputs once.
//
//   softmax:  pass 0  m = max x
//             pass 1  s = sum e, e = exp(x - m)     keeps e
//             pass 2  y = e / s                     finds e
#include "codegen/cpu/Kernels.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace lmc::cpu {
namespace {

/// Independent accumulators of a reduction, to hide the latency of an addition.
constexpr unsigned kAccumulators = 4;

/// A polynomial of ten instructions or more; reading it back from cache takes one.
bool isDear(Operation &op) {
  return isa<lm::ExpOp, lm::Expm1Op, lm::LogOp, lm::TanhOp, lm::ErfOp, lm::SinOp, lm::CosOp>(op);
}

class RowKernel {
public:
  RowKernel(Expression &x);
  Schedule emit();

private:
  /// Full-size elements that one pass writes to scratch and later ones read.
  struct Kept {
    Value value;
    unsigned pass;
    int64_t offset; ///< bytes of scratch
  };

  void chooseKept();
  void define(unsigned pass, const Index &here);
  void keep(unsigned pass, const Index &here);
  void reduce(unsigned pass, ArrayRef<Value> row);
  void fetchNextRow(const Index &here);

  Expression &x;
  Emit &e;
  SmallVector<SmallVector<lm::ReduceOp>> levels; ///< pass i computes levels[i]; the last one stores
  lm::Shape space;
  SmallVector<unsigned> full, perRow; ///< outputs of the shape of the space; of the rows
  unsigned width;
  SmallVector<Kept> kept;
  int64_t scratchBytes = 0;
};

RowKernel::RowKernel(Expression &x)
    : x(x), e(x.emit), levels(reductionLevels(x.body)),
      space(lm::shapeOf(levels.front().front().getX())), width(lanesFor(x)) {
  for (auto [i, value] : llvm::enumerate(outputsOf(x)))
    (lm::shapeOf(value).size() == space.size() ? full : perRow).push_back(i);
  chooseKept();
}

void RowKernel::chooseKept() {
  llvm::MapVector<Value, SmallVector<unsigned>> passesOf;
  auto collect = [&](unsigned pass, Value root) {
    llvm::SetVector<Value> reached;
    reached.insert(root);
    for (size_t i = 0; i < reached.size(); ++i) {
      Operation *op = reached[i].getDefiningOp();
      if (!op || !isa<lm::PointwiseOp>(op)) // only what is read at the row's own index
        continue;
      if (isDear(*op) && (passesOf[reached[i]].empty() || passesOf[reached[i]].back() != pass))
        passesOf[reached[i]].push_back(pass);
      reached.insert(op->operand_begin(), op->operand_end());
    }
  };
  for (auto [pass, level] : llvm::enumerate(levels))
    for (lm::ReduceOp op : level)
      collect(pass, op.getX());
  SmallVector<Value> values = outputsOf(x);
  for (unsigned output : full)
    collect(levels.size(), values[output]);

  int64_t length = llvm::alignTo(x.extent(space.back()).max, width);
  for (auto &[value, passes] : passesOf) {
    int64_t bytes = length * Emit::storageBytes(Emit::computeType(lm::elementOf(value)));
    // Beyond a share of the second-level cache computing again is the faster way.
    if (passes.size() < 2 || scratchBytes + bytes > e.target().l2Bytes / 2)
      continue;
    kept.push_back({value, passes.front(), scratchBytes});
    scratchBytes += llvm::alignTo(bytes, 64);
  }
}

/// Before anything is evaluated at an index of a pass: what earlier passes have kept.
void RowKernel::define(unsigned pass, const Index &here) {
  for (const Kept &k : kept)
    if (k.pass < pass)
      x.define(k.value, here,
               e.load(Emit::computeType(lm::elementOf(k.value)), e.scratch(k.offset),
                      here.at.back(), here.lanes.width));
}

/// After everything is evaluated: what later passes will find. Rows of scratch are whole vectors.
void RowKernel::keep(unsigned pass, const Index &here) {
  for (const Kept &k : kept)
    if (k.pass == pass)
      e.store(Emit::computeType(lm::elementOf(k.value)), x.evaluateLanes(k.value, here),
              e.scratch(k.offset), here.at.back(), here.lanes.width);
}

/// One pass over a row for reductions that do not depend on each other; defines their results.
void RowKernel::reduce(unsigned pass, ArrayRef<Value> row) {
  SmallVector<Reduction> accumulators;
  for (lm::ReduceOp op : levels[pass])
    accumulators.emplace_back(op);
  Index index;
  index.at.assign(row.begin(), row.end());
  index.at.push_back(e.i64(0));
  index.lane = static_cast<int>(row.size());
  for (lm::ReduceOp op : levels[pass])
    x.hoistUniform(op.getX(), index);

  auto elementsAt = [&](Value at, Lanes lanes) {
    Expression::Scope scope(x);
    Index here = index;
    here.at.back() = at;
    here.lanes = lanes;
    define(pass, here);
    if (full.empty() && pass + 1 == levels.size())
      fetchNextRow(here);
    Emit::Values elements;
    for (Reduction &a : accumulators)
      elements.push_back(x.evaluateLanes(a.op.getX(), here));
    keep(pass, here);
    return elements;
  };
  // Long strides with independent accumulators, then single vectors, then a masked rest.
  Value extent = x.extent(space.back()).emit(e);
  int64_t stride = static_cast<int64_t>(width) * kAccumulators;
  Value mainEnd = e.mul(e.div(extent, e.i64(stride)), stride);
  Value fullEnd = e.mul(e.div(extent, e.i64(width)), width);
  Emit::Values inits;
  for (Reduction &a : accumulators)
    inits.append(kAccumulators, a.neutral(e, width));
  Emit::Values sums =
      e.loopCarried(e.i64(0), mainEnd, e.i64(stride), inits, [&](Value at, ValueRange carried) {
        Emit::Values next(carried);
        for (unsigned u = 0; u < kAccumulators; ++u) {
          Emit::Values more = elementsAt(e.add(at, static_cast<int64_t>(u) * width), Lanes(width));
          for (auto [i, a] : llvm::enumerate(accumulators)) {
            Value &sum = next[i * kAccumulators + u];
            sum = a.combine(e, sum, more[i]);
          }
        }
        return next;
      });
  Emit::Values single;
  for (auto [i, a] : llvm::enumerate(accumulators)) {
    auto at = [&](unsigned u) { return sums[i * kAccumulators + u]; };
    single.push_back(a.combine(e, a.combine(e, at(0), at(1)), a.combine(e, at(2), at(3))));
  }
  single = e.loopCarried(mainEnd, fullEnd, e.i64(width), single, [&](Value at, ValueRange carried) {
    Emit::Values next;
    for (auto [a, sum, more] : llvm::zip_equal(accumulators, carried, elementsAt(at, Lanes(width))))
      next.push_back(a.combine(e, sum, more));
    return next;
  });
  Value rest = e.sub(extent, fullEnd);
  if (width > 1 && Emit::constantOf(rest) != 0) {
    Lanes lanes(width, e.firstLanes(rest, width));
    for (auto [a, sum, more] : llvm::zip_equal(accumulators, single, elementsAt(fullEnd, lanes)))
      sum = a.combine(e, sum, e.select(lanes.mask, more, a.neutral(e, width)));
  }
  for (auto [a, sum] : llvm::zip_equal(accumulators, single))
    x.define(a.op.getY(), a.total(e, sum));
}

/// While this row's last pass computes, memory brings the next row's inputs.
void RowKernel::fetchNextRow(const Index &here) {
  if (levels.size() + !full.empty() < 2)
    return; // a single pass reads ahead by itself
  Value next = e.i64(0);
  for (auto [at, step] : llvm::zip_equal(here.at, x.strides(space)))
    next = e.add(next, e.mul(at, step.emit(e)));
  next = e.add(next, x.extent(space.back()).emit(e));
  for (BlockArgument argument : x.body.getArguments())
    if (lm::shapeOf(argument) == space)
      e.prefetch(lm::elementOf(argument), e.buffer(argument.getArgNumber()), next);
}

Schedule RowKernel::emit() {
  ArrayRef<lm::Dim> rows = ArrayRef<lm::Dim>(space).drop_back();
  SmallVector<Value> values = outputsOf(x);
  Schedule schedule;
  schedule.items = itemsOf(x.product(rows));
  schedule.grain = rowsOfPiece(x, space.back());
  schedule.flops = pointwiseFlops(x, x.product(space).max);
  schedule.scratchBytes = scratchBytes;
  e.loop(e.begin(), e.end(), 1, [&](Value item) {
    Expression::Scope scope(x);
    SmallVector<Value, 4> row = unflatten(x, item, rows);
    for (unsigned pass = 0; pass < levels.size(); ++pass)
      reduce(pass, row);
    Index statistic;
    statistic.at = row;
    SmallVector<Value> statistics;
    for (unsigned output : perRow)
      statistics.push_back(x.evaluate(values[output], statistic));
    storeRow(x, full, row, space.back(), [&](const Index &here) {
      define(levels.size(), here);
      fetchNextRow(here);
    });
    for (auto [output, value] : llvm::zip_equal(perRow, statistics))
      x.store(output, value, statistic);
  });
  return schedule;
}

} // namespace

Schedule emitRow(Expression &x) { return RowKernel(x).emit(); }

} // namespace lmc::cpu
