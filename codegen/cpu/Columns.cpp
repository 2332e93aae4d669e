// The column family: reductions over leading dimensions, bias and norm-weight gradients.
//
// Mapping: a work item is a strip of kUnroll vectors of columns and goes through all rows, so that
// no partial sums cross work items and the order of summation is that of the rows: sums over the
// innermost reduced dimension are added up in the next one out. Limit: reading the rows once.
#include "codegen/cpu/Kernels.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace lmc::cpu {
namespace {

/// Vectors of columns side by side: a strip of 256 bytes on AVX-512, 128 on AVX2.
constexpr unsigned kUnroll = 4;

} // namespace

Schedule emitColumn(Expression &x) {
  Emit &e = x.emit;
  SmallVector<Reduction> ops;
  for (Operation &op : x.body.without_terminator())
    if (auto reduce = dyn_cast<lm::ReduceOp>(op))
      ops.emplace_back(reduce);
  lm::Shape space = lm::shapeOf(ops.front().op.getX());
  size_t reduced = ops.front().op.getDims().size();
  ArrayRef<lm::Dim> leading = ArrayRef<lm::Dim>(space).take_front(reduced);
  ArrayRef<lm::Dim> kept = ArrayRef<lm::Dim>(space).drop_front(reduced);
  ArrayRef<lm::Dim> outer = kept.drop_back();
  assert(kept.back().isStatic() && "columns are model dimensions");
  int64_t columns = kept.back().size;
  unsigned width = e.target().lanes(32);
  // A strip no wider than the columns there are.
  unsigned unroll = std::min<int64_t>(kUnroll, (columns + width - 1) / width);
  int64_t strip = static_cast<int64_t>(width) * unroll, strips = (columns + strip - 1) / strip;

  Schedule schedule;
  Extent items = x.product(outer);
  items.factor *= strips;
  items.max *= strips;
  schedule.items = itemsOf(items);
  schedule.flops = x.body.getOperations().size() * x.product(space).max;

  e.loop(e.begin(), e.end(), 1, [&](Value item) {
    Value first = e.mul(e.rem(item, e.i64(strips)), strip);
    SmallVector<Value, 4> outerAt = unflatten(x, e.div(item, e.i64(strips)), outer);
    SmallVector<Value> starts;
    SmallVector<Lanes> lanes;
    for (unsigned u = 0; u < unroll; ++u) {
      starts.push_back(e.add(first, static_cast<int64_t>(u) * width));
      if (columns % strip == 0 || width == 1)
        lanes.push_back(Lanes(width));
      else // strips at the edge are partly empty; a start beyond the columns masks every lane
        lanes.push_back(Lanes(
            width, e.firstLanes(e.max(e.sub(e.i64(columns), starts.back()), e.i64(0)), width)));
    }
    // Nested sums over the leading dimensions, innermost first.
    std::function<Emit::Values(size_t, SmallVector<Value, 4>)> sumOver =
        [&](size_t dim, SmallVector<Value, 4> at) -> Emit::Values {
      if (dim == reduced) {
        Expression::Scope scope(x);
        Index index;
        index.at = at;
        llvm::append_range(index.at, outerAt);
        index.at.push_back(first);
        index.lane = static_cast<int>(index.at.size()) - 1;
        index.lanes = Lanes(width);
        for (Reduction &r : ops)
          x.hoistUniform(r.op.getX(), index);
        Emit::Values elements;
        for (Reduction &r : ops)
          for (unsigned u = 0; u < unroll; ++u) {
            index.at.back() = starts[u];
            index.lanes = lanes[u];
            elements.push_back(x.evaluateLanes(r.op.getX(), index));
          }
        return elements;
      }
      Emit::Values inits;
      for (Reduction &r : ops)
        inits.append(unroll, r.neutral(e, width));
      Value extent = x.extent(leading[dim]).emit(e);
      return e.loopCarried(e.i64(0), extent, e.i64(1), inits, [&](Value i, ValueRange carried) {
        Expression::Scope scope(x);
        SmallVector<Value, 4> deeper = at;
        deeper.push_back(i);
        Emit::Values more = sumOver(dim + 1, deeper), next;
        for (auto [k, r] : llvm::enumerate(ops))
          for (unsigned u = 0; u < unroll; ++u)
            next.push_back(r.combine(e, carried[k * unroll + u], more[k * unroll + u]));
        return next;
      });
    };
    Emit::Values sums = sumOver(0, {});
    Expression::Scope scope(x);
    for (unsigned u = 0; u < unroll; ++u) {
      Expression::Scope strip(x);
      for (auto [k, r] : llvm::enumerate(ops))
        x.define(r.op.getY(), sums[k * unroll + u]);
      Index index;
      index.at = outerAt;
      index.at.push_back(starts[u]);
      index.lane = static_cast<int>(outerAt.size());
      index.lanes = lanes[u];
      for (auto [output, value] : llvm::enumerate(x.body.getTerminator()->getOperands()))
        x.store(output, x.evaluateLanes(value, index), index);
    }
  });
  return schedule;
}

} // namespace lmc::cpu
