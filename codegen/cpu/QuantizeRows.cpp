// Rows as signed bytes, and rows of block-quantised tables as f32.
#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Operand.h"
#include "ir/BlockPanels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;

namespace lmc::cpu {
// Mapping: a work item is a block of 32. Limit: memory.
Schedule emitQuantizeRows(Expression &x) {
  Emit &e = x.emit;
  OpBuilder &b = e.builder();
  auto op = opOf<lm::QuantizeRowsOp>(x);
  lm::Shape shape = lm::shapeOf(op.getX());
  lm::Shape blocks = shape;
  blocks.back() = shape.back().size / 32;
  const unsigned width = std::min(16u, e.target().lanes(32));
  OperandView view = operandView(x, op.getX());
  assert(view.whole && "what is quantised is stored as it is");
  Value input = e.at(view.storage, e.buffer(view.buffer), view.offset.emit(e));
  unsigned first = x.body.getNumArguments();
  Value codes = e.buffer(first), scales = e.buffer(first + 1), sums = e.buffer(first + 2),
        halfSums = e.buffer(first + 3);
  Type f32 = e.f32Type(), i8 = b.getI8Type(), i32 = b.getI32Type();

  e.loop(e.begin(), e.end(), 1, [&](Value block) {
    Value start = e.mul(block, 32);
    Emit::Values parts;
    Value largest;
    for (unsigned i = 0; i < 32; i += width) {
      parts.push_back(e.load(f32, input, e.add(start, i), width));
      Value size = b.create<math::AbsFOp>(e.loc(), parts.back());
      largest = largest ? e.maxf(largest, size) : size;
    }
    largest = e.reduceMax(largest);
    auto compare = [&](arith::CmpFPredicate predicate, double value) -> Value {
      return b.create<arith::CmpFOp>(e.loc(), predicate, largest, e.f32(value));
    };
    Value usable = b.create<arith::AndIOp>(
        e.loc(), compare(arith::CmpFPredicate::OGT, 0),
        compare(arith::CmpFPredicate::OLT, std::numeric_limits<double>::infinity()));
    Value inverse = e.select(usable, e.divf(e.f32(127), largest), e.f32(0));
    Value scale = e.select(usable, e.divf(largest, e.f32(127)), largest);
    Value none = e.constant(i32, 0, width), use = e.splat(usable, width);
    Emit::Values halves;
    for (unsigned i = 0; i < parts.size(); ++i) {
      Value nearest =
          b.create<math::RoundEvenOp>(e.loc(), e.mulf(parts[i], e.splat(inverse, width)));
      // Of infinities and NaN nothing is defined.
      nearest = e.select(use, nearest, e.f32(0, width));
      Value code = b.create<arith::FPToSIOp>(e.loc(), Emit::vectorOf(i32, width), nearest);
      code = e.select(use, code, none);
      Value bytes = b.create<arith::TruncIOp>(e.loc(), Emit::vectorOf(i8, width), code);
      e.store(i8, bytes, codes, e.add(start, i * width), width);
      Value total = e.reduce(
          code, [&](Value p, Value q) -> Value { return b.create<arith::AddIOp>(e.loc(), p, q); });
      size_t half = i * width / 16;
      if (half == halves.size())
        halves.push_back(total);
      else
        halves[half] = b.create<arith::AddIOp>(e.loc(), halves[half], total);
    }
    auto scaled = [&](Value total) {
      return e.mulf(scale, b.create<arith::SIToFPOp>(e.loc(), f32, total));
    };
    e.store(f32, scale, scales, block);
    e.store(f32, scaled(b.create<arith::AddIOp>(e.loc(), halves[0], halves[1])), sums, block);
    for (int half = 0; half < 2; ++half)
      e.store(f32, scaled(halves[half]), halfSums, e.add(e.mul(block, 2), half));
  });

  Schedule schedule;
  schedule.items = itemsOf(x.product(blocks));
  schedule.flops = pointwiseFlops(x, 4 * x.product(shape).max);
  return schedule;
}

// Mapping: a work item is an id. Four steps of k are four bytes of a lane of a panel. Limit: unpacking.
Schedule emitBlockGather(Expression &x) {
  Emit &e = x.emit;
  OpBuilder &b = e.builder();
  auto op = opOf<lm::BlockGatherOp>(x);
  lm::Shape ids = lm::shapeOf(op.getIds());
  const lm::BlockPanels panels{
      lm::findBlockFormat(op.getFormat().str()), static_cast<int64_t>(op.getDepth()),
      static_cast<int64_t>(op.getColumns()), static_cast<int64_t>(op.getWidth())};
  const lm::BlockFormat &format = *panels.format;
  Type f32 = e.f32Type(), i8 = b.getI8Type(), i32 = b.getI32Type();
  OperandView view = operandView(x, op.getWeights());
  Value weights = e.at(view.storage, e.buffer(view.buffer), view.offset.emit(e));
  Value output = e.buffer(x.body.getNumArguments());
  Value table;
  if (format.values) {
    SmallVector<float> values(format.values, format.values + 16);
    table = e.table(DenseElementsAttr::get(RankedTensorType::get({16}, f32), ArrayRef(values)));
  }
  auto toFloat = [&](Value integer, bool isSigned) -> Value {
    Value wide = isSigned ? Value(b.create<arith::ExtSIOp>(e.loc(), i32, integer))
                          : Value(b.create<arith::ExtUIOp>(e.loc(), i32, integer));
    return b.create<arith::SIToFPOp>(e.loc(), f32, wide);
  };

  e.loop(e.begin(), e.end(), 1, [&](Value item) {
    Expression::Scope scope(x);
    Index at;
    at.at = unflatten(x, item, ids);
    Value id = b.create<arith::ExtSIOp>(e.loc(), e.i64Type(), x.evaluate(op.getIds(), at));
    Value lane = e.rem(id, e.i64(panels.width));
    Value panel = e.offset(weights, e.mul(e.div(id, e.i64(panels.width)), panels.panelBytes()));
    Value row = e.mul(item, panels.depth);
    auto scaleAt = [&](Value head, int64_t byte) -> Value {
      Value place = e.offset(head, e.add(e.mul(lane, panels.scaleBytes()), byte));
      return loadBlockScale(e, format, place, 1);
    };
    e.loop(e.i64(0), e.i64(panels.depth / format.sub), 1, [&](Value sub) {
      Value perSuper = e.i64(format.super / format.sub);
      Value super = e.div(sub, perSuper), inner = e.rem(sub, perSuper);
      Value head = e.offset(panel, e.mul(super, panels.headStride()));
      Value step = scaleAt(head, 0);
      Value minimum = format.minimums ? scaleAt(head, panels.minimumAt()) : Value();
      if (format.hasSuperBlocks()) {
        Value place = e.add(e.mul(inner, panels.width), lane);
        Value scale = e.load(i8, e.offset(head, e.add(place, panels.subScalesAt())), e.i64(0));
        step = e.mulf(step, toFloat(scale, !format.minimums));
        if (format.minimums) {
          Value m = e.load(i8, e.offset(head, e.add(place, panels.subMinimumsAt())), e.i64(0));
          minimum = e.mulf(minimum, toFloat(m, false));
        }
      }
      Value k0 = e.mul(sub, format.sub);
      e.loop(k0, e.add(k0, format.sub), 1, [&](Value k) {
        Value quad = e.div(e.rem(k, e.i64(32)), e.i64(4));
        Value codes = e.offset(
            panel, e.add(e.mul(e.div(k, e.i64(32)), panels.blockStride()), panels.codesAt()));
        auto field = [&](int64_t bits, int64_t first) -> Value {
          Value plane = e.add(e.rem(quad, e.i64(bits)), first);
          Value place =
              e.add(e.mul(plane, 4 * panels.width), e.add(e.mul(lane, 4), e.rem(k, e.i64(4))));
          Value byte = e.load(i8, e.offset(codes, place), e.i64(0));
          if (bits == 8)
            return b.create<arith::ExtSIOp>(e.loc(), i32, byte);
          Value shift =
              b.create<arith::TruncIOp>(e.loc(), i32, e.mul(e.div(quad, e.i64(bits)), bits));
          Value wide = b.create<arith::ExtUIOp>(e.loc(), i32, byte);
          return b.create<arith::AndIOp>(e.loc(), b.create<arith::ShRUIOp>(e.loc(), wide, shift),
                                         e.constant(i32, (1 << bits) - 1));
        };
        Value q = field(format.lowBits, 0);
        if (format.highBits)
          q = b.create<arith::OrIOp>(e.loc(), q,
                                     b.create<arith::ShLIOp>(e.loc(),
                                                             field(format.highBits, format.lowBits),
                                                             e.constant(i32, format.lowBits)));
        Value value;
        if (format.values) {
          value = e.load(f32, table, b.create<arith::ExtUIOp>(e.loc(), e.i64Type(), q));
        } else {
          q = b.create<arith::AddIOp>(e.loc(), q, e.constant(i32, format.offset));
          value = b.create<arith::SIToFPOp>(e.loc(), f32, q);
        }
        value = e.mulf(step, value);
        if (format.minimums) // m of forms without super-blocks is added
          value = format.hasSuperBlocks() ? e.subf(value, minimum) : e.addf(value, minimum);
        e.store(f32, value, output, e.add(row, k));
      });
    });
  });

  Schedule schedule;
  schedule.items = itemsOf(x.product(ids));
  schedule.flops = 2ull * x.product(ids).max * panels.depth;
  return schedule;
}

} // namespace lmc::cpu
