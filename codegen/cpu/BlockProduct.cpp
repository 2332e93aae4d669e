// Products of quantised rows and block-quantised weights (ir/BlockPanels.h).
//
// Mapping: a work item is a panel of weights, one column a lane, and all rows. Some rows at a time keep
// their f32 sums in registers while k runs once through the panel: for each 32 steps the integers of all
// columns are unpacked once and meet four bytes of each row. The integer sums of a sub-block are exact;
// each is scaled and added to the f32 sum in rising k. So an element's bits depend on the target alone,
// not on threads or on how many rows there are. Limit: reading the panels once, for few rows; byte dot
// products for many. Of a mixture an item is a panel of one expert and all rows of that expert, which are
// looked up; panels of experts without rows are not read.
#include "codegen/cpu/ByteDot.h"
#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Operand.h"
#include "ir/BlockPanels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace lmc::cpu {
namespace {

class BlockProduct {
public:
  using Values = Emit::Values;
  using RowAt = llvm::function_ref<Value(Value place)>;
  using Finish = llvm::function_ref<void(Value place, Value column, Value sums, Lanes lanes)>;

  /// lm::BlockMatmulOp or lm::ExpertBlockMatmulOp.
  template <typename Op>
  BlockProduct(Expression &x, Op op)
      : e(x.emit), dot(x.emit),
        panels{lm::findBlockFormat(op.getFormat().str()), lm::shapeOf(op.getCodes()).back().size,
               static_cast<int64_t>(op.getColumns()), static_cast<int64_t>(op.getWidth())},
        format(*panels.format), f32(e.f32Type()), i8(e.builder().getI8Type()),
        i32(e.builder().getI32Type()) {
    auto pointer = [&](Value operand) {
      OperandView view = operandView(x, operand);
      assert(view.whole && "quantised rows are stored as they are");
      return e.at(view.storage, e.buffer(view.buffer), view.offset.emit(e));
    };
    codes = pointer(op.getCodes());
    scales = pointer(op.getScales());
    sums = pointer(op.getSums());
    halfSums = pointer(op.getHalfSums());
    weights = pointer(op.getWeights());
  }

  /// Of each matrix.
  int64_t count() const { return panels.count(); }
  uint64_t flops(int64_t rows) const { return 2ull * rows * panels.columns * panels.depth; }

  /// The columns of panel `index` of matrix `matrix` for rows in places [0, m), which are rows rowAt(place) of
  /// the codes.
  void panel(Value matrix, Value index, Value m, RowAt rowAt, Finish finish) {
    Value start =
        e.offset(weights, e.mul(e.add(e.mul(matrix, panels.count()), index), panels.panelBytes()));
    Value column = e.mul(index, panels.width);
    unsigned width = dot.lanes();
    Lanes lanes(width);
    if (panels.columns % panels.width)
      lanes.mask = e.firstLanes(e.sub(e.i64(panels.columns), column), width);
    auto rows = [&](Value place, unsigned count) {
      Values blocks;
      for (unsigned r = 0; r < count; ++r)
        blocks.push_back(e.mul(rowAt(e.add(place, r)), panels.depth / 32));
      Values result = tile(start, blocks);
      for (unsigned r = 0; r < count; ++r)
        finish(e.add(place, r), column, result[r], lanes);
    };
    unsigned most = e.target().vectorRegisters >= 32 ? 8 : 4;
    Value done = e.mul(e.div(m, e.i64(most)), most);
    e.loop(e.i64(0), done, most, [&](Value place) { rows(place, most); });
    for (unsigned count = most / 2; count > 0; count /= 2) {
      Value left = e.sub(m, done);
      e.ifThen(e.less(e.i64(count - 1), left), [&] { rows(done, count); });
      done = e.select(e.less(e.i64(count - 1), left), e.add(done, count), done);
    }
  }

private:
  Value scaleAt(Value head, int64_t byte) {
    return loadBlockScale(e, format, e.offset(head, e.i64(byte)), dot.lanes());
  }

  /// Bytes of one sub-block for all columns as f32.
  Value smallIntegers(Value at, bool isSigned) {
    OpBuilder &b = e.builder();
    unsigned width = dot.lanes();
    Value bytes = e.load(i8, at, e.i64(0), width);
    Type wide = Emit::vectorOf(i32, width);
    Value integers = isSigned ? Value(b.create<arith::ExtSIOp>(e.loc(), wide, bytes))
                              : Value(b.create<arith::ExtUIOp>(e.loc(), wide, bytes));
    return toFloat(integers);
  }

  Value toFloat(Value integers) {
    return e.builder().create<arith::SIToFPOp>(e.loc(), Emit::vectorOf(f32, dot.lanes()), integers);
  }

  /// f32 sums of rows, one vector each; `rows` has the first block of each.
  Values tile(Value start, ArrayRef<Value> rows) {
    Values zero(rows.size(), e.f32(0, dot.lanes()));
    int64_t blocks = format.super / 32;
    return e.loopCarried(
        e.i64(0), e.i64(panels.depth / format.super), e.i64(1), zero,
        [&](Value super, ValueRange before) {
          Value head = e.offset(start, e.mul(super, panels.headBytes()));
          Value d = scaleAt(head, 0);
          Value dmin = format.minimums ? scaleAt(head, panels.minimumAt()) : Value();
          return e.loopCarried(e.i64(0), e.i64(blocks), e.i64(1), before,
                               [&](Value inner, ValueRange carried) {
                                 Value block = e.add(e.mul(super, blocks), inner);
                                 return addBlock(start, head, d, dmin, block, inner, rows, carried);
                               });
        });
  }

  /// Adds 32 steps of k; `block` counts them from k = 0, `inner` in the super-block.
  Values addBlock(Value start, Value head, Value d, Value dmin, Value block, Value inner,
                  ArrayRef<Value> rows, ValueRange before) {
    Values result(before.begin(), before.end());
    const unsigned width = dot.lanes();
    Value place = e.offset(start, e.add(e.mul(block, panels.blockBytes()), panels.codesAt()));
    // Far enough for memory; the processor's own guess stops at every page. Beyond the end it is harmless.
    constexpr int64_t ahead = 4096, line = 64;
    for (int64_t byte = 0; byte < panels.blockBytes(); byte += line)
      e.prefetch(i8, place, e.i64(ahead + byte), false, 3);
    Values planes;
    for (int plane = 0; plane < format.bits(); ++plane)
      planes.push_back(e.load(i32, place, e.i64(plane * width), width));
    const int64_t subs = 32 / format.sub;
    bool isSigned = format.isSigned() || format.values;
    for (int64_t sub = 0; sub < subs; ++sub) {
      Value step = d, minimum = dmin;
      if (format.hasSuperBlocks()) {
        Value at = e.mul(e.add(e.mul(inner, subs), sub), panels.width);
        step = e.mulf(
            d, smallIntegers(e.offset(head, e.add(at, panels.subScalesAt())), !format.minimums));
        if (format.minimums) {
          Value m = smallIntegers(e.offset(head, e.add(at, panels.subMinimumsAt())), false);
          minimum = e.subf(e.f32(0, width), e.mulf(dmin, m));
        }
      }
      Values integers(rows.size(), e.constant(i32, 0, width));
      for (int64_t quad = sub * format.sub / 4; quad < (sub + 1) * format.sub / 4; ++quad) {
        ByteDot::Left left = dot.left(integersOf(planes, quad), isSigned);
        for (unsigned r = 0; r < rows.size(); ++r) {
          Value at = e.add(e.mul(e.add(rows[r], block), 8), quad);
          integers[r] = dot.add(integers[r], left, e.loadSplat(i32, codes, at, width));
        }
      }
      int offset = format.offset - dot.bias(isSigned);
      Value shift = format.minimums ? minimum
                    : offset        ? e.mulf(step, e.f32(offset, width))
                                    : Value();
      for (unsigned r = 0; r < rows.size(); ++r) {
        Value at = e.add(rows[r], block);
        Value scale = e.mulf(step, e.loadSplat(f32, scales, at, width));
        result[r] = e.fma(toFloat(integers[r]), scale, result[r]);
        if (!shift)
          continue;
        Value sum = subs == 1 ? e.loadSplat(f32, sums, at, width)
                              : e.loadSplat(f32, halfSums, e.add(e.mul(at, 2), sub), width);
        result[r] = e.fma(shift, sum, result[r]);
      }
    }
    return result;
  }

  /// Steps 4 * quad .. 4 * quad + 3 of a block, four bytes a lane.
  Value integersOf(ArrayRef<Value> planes, int64_t quad) {
    OpBuilder &b = e.builder();
    unsigned width = dot.lanes();
    auto field = [&](int64_t bits, int64_t first) -> Value {
      Value value = planes[first + quad % bits];
      if (bits == 8)
        return value;
      if (int64_t shift = bits * (quad / bits))
        value = b.create<arith::ShRUIOp>(e.loc(), value, e.constant(i32, shift, width));
      uint32_t mask = ((1u << bits) - 1) * 0x01010101u;
      return b.create<arith::AndIOp>(e.loc(), value, e.constant(i32, mask, width));
    };
    Value value = field(format.lowBits, 0);
    if (format.highBits) {
      Value high = field(format.highBits, format.lowBits);
      high = b.create<arith::ShLIOp>(e.loc(), high, e.constant(i32, format.lowBits, width));
      value = b.create<arith::OrIOp>(e.loc(), value, high);
    }
    if (!format.values)
      return value;
    int8_t table[16];
    std::copy_n(format.values, 16, table);
    return dot.lookUp(value, table);
  }

  Emit &e;
  ByteDot dot;
  const lm::BlockPanels panels;
  const lm::BlockFormat &format;
  Type f32, i8, i32;
  Value codes, scales, sums, halfSums, weights;
};

} // namespace

Schedule emitBlockProduct(Expression &x, lm::BlockMatmulOp op) {
  Emit &e = x.emit;
  assert(op.getWidth() == e.target().lanes(32) && "panels are made for this target");
  lm::Shape y = lm::shapeOf(op.getY());
  ArrayRef<lm::Dim> rows = ArrayRef<lm::Dim>(y).drop_back();
  Extent m = x.product(rows);
  BlockProduct product(x, op);
  auto rowAt = [](Value place) { return place; };
  auto finish = [&](Value row, Value column, Value sums, Lanes lanes) {
    storeSums(x, op.getY(), sums, {}, row, rows, column, lanes);
  };
  Value total = m.emit(e);
  e.loop(e.begin(), e.end(), 1,
         [&](Value panel) { product.panel(e.i64(0), panel, total, rowAt, finish); });

  Schedule schedule;
  schedule.items.push_back({-1, product.count(), 1});
  schedule.flops = product.flops(m.max);
  return schedule;
}

Schedule emitExpertBlockProduct(Expression &x, lm::ExpertBlockMatmulOp op) {
  Emit &e = x.emit;
  assert(op.getWidth() == e.target().lanes(32) && "panels are made for this target");
  lm::Shape rows = lm::shapeOf(op.getOrder());
  lm::Shape own = lm::shapeOf(op.getCodes()); // of the codes, which may be fewer
  own.pop_back();
  Type i32 = e.builder().getI32Type();
  auto number = [&](Value ids, Value index) -> Value {
    OperandView view = operandView(x, ids);
    assert(view.whole && "group_rows stores them");
    Value base = e.at(view.storage, e.buffer(view.buffer), view.offset.emit(e));
    return e.builder().create<arith::ExtSIOp>(e.loc(), e.i64Type(), e.load(i32, base, index));
  };
  BlockProduct product(x, op);
  Value count = e.i64(product.count()), numOwn = x.product(own).emit(e);
  e.loop(e.begin(), e.end(), 1, [&](Value item) {
    Value expert = e.div(item, count), first = number(op.getStarts(), expert);
    Value size = e.sub(number(op.getStarts(), e.add(expert, 1)), first);
    auto row = [&](Value place) { return number(op.getOrder(), e.add(first, place)); };
    auto rowAt = [&](Value place) {
      return own.size() == rows.size() ? row(place) : e.rem(row(place), numOwn);
    };
    auto finish = [&](Value place, Value column, Value sums, Lanes lanes) {
      storeSums(x, op.getY(), sums, {}, row(place), rows, column, lanes);
    };
    product.panel(expert, e.rem(item, count), size, rowAt, finish);
  });

  Schedule schedule;
  schedule.items.push_back({-1, lm::shapeOf(op.getWeights())[0].size * product.count(), 1});
  schedule.grain = 4; // few experts may have rows, whose panels are for all workers
  schedule.flops = product.flops(x.product(rows).max);
  return schedule;
}

} // namespace lmc::cpu
