// Draws ids from rows of logits, as runtime/Sampling.h says.
//
// Mapping: a work item is a row. Its keys (Keys.h) and weights lie in scratch. What top-k and top-p keep
// is found without sorting, by a threshold: the key at which a count, or a sum of weights, is reached,
// 11 bits at a time (8 in short rows) from the highest on, each by a histogram of those keys that agree so far. Only the
// first histogram takes an element at a time; the others pass over vectors without a hit. The draw
// looks for the chunk of ids that the point falls in, then for the id.
// Scratch: 8 bytes an id, and a histogram. Limit: one exponential an id, and one pass over the row's
// elements for each filter.
#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Keys.h"
#include "runtime/Sampling.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <bit>

using namespace mlir;

namespace lmc::cpu {
namespace {

using arith::CmpIPredicate;

constexpr int64_t kChunk = 512; ///< ids that the draw adds up at once

/// The digits of a key, from the highest on.
struct Digit {
  unsigned shift, bits;
};
constexpr Digit kDigits[] = {{21, 11}, {10, 11}, {0, 10}};
/// Of short rows: going through bins must not take longer than going through the row.
constexpr Digit kShortDigits[] = {{24, 8}, {16, 8}, {8, 8}, {0, 8}};
constexpr int64_t kShortRow = 8192;

/// Ids that a filter keeps: those with larger keys, and the first `equals` with the key itself.
struct Kept {
  Value key;    ///< i32
  Value equals; ///< i64
  Value total;  ///< their weights' sum, i64
};

class SampleEmitter {
public:
  SampleEmitter(Expression &x, lm::SampleOp op)
      : x(x), e(x.emit), b(e.builder()), op(op), keys(e, e.f32Type()), i32(b.getI32Type()),
        i64(e.i64Type()), width(e.lanesOf(i32)) {
    lm::Shape shape = lm::shapeOf(op.getLogits());
    n = shape.back().size;
    padded = llvm::alignTo(n, width);
    digits = n <= kShortRow ? ArrayRef(kShortDigits) : ArrayRef(kDigits);
    static_assert(kChunk % 64 == 0, "chunks are whole vectors");
  }

  Schedule emit() {
    lm::Shape rows = lm::shapeOf(op.getIds());
    keysAt = e.scratch();
    weightsAt = e.scratch(padded * 4);
    binsAt = e.scratch(padded * 8);
    e.loop(e.begin(), e.end(), 1, [&](Value item) {
      Expression::Scope scope(x);
      row.at = unflatten(x, item, rows);
      readOptions();
      storeKeys();
      x.store(0, drawn(), row);
    });
    Schedule schedule;
    schedule.items = itemsOf(x.product(rows));
    schedule.scratchBytes = padded * 8 + (int64_t(8) << digits.front().bits);
    schedule.flops = 20ull * x.product(rows).max * n;
    return schedule;
  }

private:
  // --- numbers

  Value compare(CmpIPredicate predicate, Value a, Value c) { return keys.compare(predicate, a, c); }
  Value integer(Type type, int64_t value, unsigned lanes = 1) {
    Value scalar = b.create<arith::ConstantOp>(e.loc(), b.getIntegerAttr(type, value));
    return e.splat(scalar, lanes);
  }
  Value bits(Value number) {
    return b.create<arith::BitcastOp>(e.loc(), Emit::vectorOf(i32, Emit::widthOf(number)), number);
  }
  Value number(Value word) {
    return b.create<arith::BitcastOp>(e.loc(), Emit::vectorOf(e.f32Type(), Emit::widthOf(word)),
                                      word);
  }
  Value narrow(Value wide) { return b.createOrFold<arith::TruncIOp>(e.loc(), i32, wide); }
  /// floor(a * c / 2^64) without signs.
  Value upperHalf(Value a, Value c) {
    return b.create<arith::MulUIExtendedOp>(e.loc(), a, c).getHigh();
  }
  Value total(Value lanes) {
    return e.reduce(lanes, [&](Value p, Value q) { return e.add(p, q); });
  }

  /// The logit that a key stands for; a NaN for none.
  Value logitOf(Value key) {
    unsigned lanes = Emit::widthOf(key);
    Value flipped = b.create<arith::XOrIOp>(e.loc(), key, integer(i32, INT32_MAX, lanes));
    return number(e.select(compare(CmpIPredicate::slt, key, integer(i32, 0, lanes)), flipped, key));
  }

  /// samplingWeight() before it is rounded down, in units of its last place; f32.
  Value weightOf(Value logit) {
    using E = SamplingExp;
    unsigned lanes = Emit::widthOf(logit);
    auto constant = [&](float value) { return e.f32(value, lanes); };
    Value y = e.divf(e.subf(logit, e.splat(largest, lanes)), e.splat(temperature, lanes));
    Value counts =
        b.create<arith::CmpFOp>(e.loc(), arith::CmpFPredicate::OGE, y, constant(E::floor));
    Value shifted = e.addf(e.mulf(y, constant(E::perLog2)), constant(E::toInteger));
    Value steps = e.subf(shifted, constant(E::toInteger));
    Value r =
        e.subf(e.subf(y, e.mulf(steps, constant(E::ln2High))), e.mulf(steps, constant(E::ln2Low)));
    Value sum = constant(E::p[0]);
    for (size_t i = 1; i < std::size(E::p); ++i)
      sum = e.addf(e.mulf(sum, r), constant(E::p[i]));
    Value exp = e.addf(e.addf(e.mulf(sum, e.mulf(r, r)), r), constant(1));
    int32_t bias = 127 + kSamplingFraction - std::bit_cast<int32_t>(E::toInteger);
    Value exponent = b.create<arith::AddIOp>(e.loc(), bits(shifted), integer(i32, bias, lanes));
    Value power = b.create<arith::ShLIOp>(e.loc(), exponent, integer(i32, 23, lanes));
    return e.select(counts, e.mulf(exp, number(power)), constant(0));
  }
  /// A weight as i64.
  Value rounded(Value weight) {
    return b.create<arith::FPToSIOp>(e.loc(), Emit::vectorOf(i64, Emit::widthOf(weight)), weight);
  }
  Value weightOfKey(Value key) { return rounded(weightOf(logitOf(key))); }

  Value keyAt(Value place, unsigned lanes) { return e.load(i32, keysAt, place, lanes); }
  Value weightAt(Value place, unsigned lanes) {
    return rounded(e.load(e.f32Type(), weightsAt, place, lanes));
  }

  // --- a row

  void readOptions() {
    auto wide = [&](Value id) { return b.create<arith::ExtSIOp>(e.loc(), i64, id).getResult(); };
    temperature = x.evaluate(op.getTemperature(), row);
    topK = wide(x.evaluate(op.getTopK(), row));
    topP = x.evaluate(op.getTopP(), row);
    count = wide(x.evaluate(op.getCount(), row));
    Value all = e.i64(n);
    Value isPart = b.create<arith::AndIOp>(e.loc(), e.less(e.i64(0), count), e.less(count, all));
    count = e.select(isPart, count, all);
    auto word = [&](int64_t which) -> Value {
      Index at = row;
      at.at.push_back(e.i64(which));
      return b.create<arith::ExtUIOp>(e.loc(), i64, x.evaluate(op.getBits(), at));
    };
    Value low = word(0), high = word(1);
    random = b.create<arith::OrIOp>(e.loc(), low,
                                    b.create<arith::ShLIOp>(e.loc(), high, integer(i64, 32)));
  }

  /// Keys of the row, the least one for ids that are not drawn; and the largest of them.
  void storeKeys() {
    Value least = keys.least(width);
    e.store(i32, least, keysAt, e.i64(padded - width), width);
    e.vectorLoop(e.i64(0), e.i64(n), width, [&](Value place, Lanes lanes) {
      Expression::Scope inner(x);
      Index run = row;
      run.at.push_back(place);
      run.lane = static_cast<int>(row.at.size());
      run.lanes = lanes;
      Value key = keys.of(x.evaluateLanes(op.getLogits(), run));
      Value isDrawn = e.firstLanes(e.sub(count, place), lanes.width);
      key = e.select(isDrawn, key, keys.least(lanes.width));
      e.store(i32, key, keysAt, place, lanes);
    });
    Value best = overRow(
        least, [&](Value place, Value before) { return keys.max(before, keyAt(place, width)); });
    largestKey = e.reduce(best, [&](Value p, Value q) { return keys.max(p, q); });
  }

  /// A loop over the vectors of a row in scratch.
  Value overRow(Value init, llvm::function_ref<Value(Value place, Value before)> step) {
    return e.loopCarried(e.i64(0), e.i64(padded), e.i64(width), init,
                         [&](Value place, ValueRange before) -> Emit::Values {
                           return {step(place, before[0])};
                         })[0];
  }

  Value drawn() {
    Value isNumber = compare(CmpIPredicate::slt, largestKey,
                             keys.of(e.f32(std::numeric_limits<float>::infinity())));
    Value isFinite = compare(CmpIPredicate::sgt, largestKey,
                             keys.of(e.f32(-std::numeric_limits<float>::infinity())));
    Value isValid = b.create<arith::AndIOp>(e.loc(), isNumber, isFinite);
    Value isRandom =
        b.create<arith::CmpFOp>(e.loc(), arith::CmpFPredicate::OGT, temperature, e.f32(0));
    using Values = Emit::Values;
    return e.choose(
        isValid,
        [&]() -> Values {
          return e.choose(
              isRandom, [&]() -> Values { return {draw()}; },
              [&]() -> Values { return {mostLikely()}; });
        },
        [&]() -> Values { return {integer(i32, -1)}; })[0];
  }

  /// The first place of the largest key.
  Value mostLikely() {
    Value none = integer(i32, INT32_MAX, width), best = e.splat(largestKey, width);
    Value first = overRow(none, [&](Value place, Value before) {
      Value places =
          b.create<arith::AddIOp>(e.loc(), e.splat(narrow(place), width), e.iota(i32, width));
      Value hit = compare(CmpIPredicate::eq, keyAt(place, width), best);
      return keys.min(before, e.select(hit, places, none));
    });
    return e.reduce(first, [&](Value p, Value q) { return keys.min(p, q); });
  }

  Value draw() {
    largest = logitOf(largestKey);
    e.loop(e.i64(0), e.i64(padded), width, [&](Value place) {
      e.store(e.f32Type(), weightOf(logitOf(keyAt(place, width))), weightsAt, place, width);
    });
    Kept kept = keepTopP(keepTopK());
    return pick(kept, upperHalf(kept.total, random));
  }

  Kept keepTopK() {
    Value isOn = b.create<arith::AndIOp>(e.loc(), e.less(e.i64(0), topK), e.less(topK, count));
    Emit::Values found = e.choose(
        isOn,
        [&]() -> Emit::Values {
          auto one = [&](Value, Value) { return e.i64(1); };
          auto [key, above] = threshold(topK, one);
          return {key, e.sub(topK, above)};
        },
        [&]() -> Emit::Values { return {keys.least(1), e.i64(0)}; });
    Kept kept = {found[0], found[1], {}};
    Value bound = e.splat(kept.key, width), none = integer(i64, 0, width);
    Value larger = total(overRow(none, [&](Value place, Value before) {
      Value isKept = compare(CmpIPredicate::sgt, keyAt(place, width), bound);
      return e.add(before, e.select(isKept, weightAt(place, width), none));
    }));
    kept.total = e.add(larger, e.mul(kept.equals, weightOfKey(kept.key)));
    return kept;
  }

  Kept keepTopP(Kept all) {
    Value isOn = b.create<arith::CmpFOp>(e.loc(), arith::CmpFPredicate::OLT, topP, e.f32(1));
    Emit::Values found = e.choose(
        isOn,
        [&]() -> Emit::Values {
          // The run ends among what is kept: its sum is not above theirs.
          Value share = rounded(e.mulf(e.maxf(topP, e.f32(0)), e.f32(0x1p32)));
          Value shifted = b.create<arith::ShLIOp>(e.loc(), share, integer(i64, 32));
          Value wanted = e.max(upperHalf(all.total, shifted), e.i64(1));
          auto [key, above] =
              threshold(wanted, [&](Value, Value place) { return weightAt(place, 1); });
          Value weight = weightOfKey(key);
          Value equals = e.ceilDiv(e.sub(wanted, above), weight);
          return {key, equals, e.add(above, e.mul(equals, weight))};
        },
        [&]() -> Emit::Values { return {all.key, all.equals, all.total}; });
    return {found[0], found[1], found[2]};
  }

  /// The largest key with which the measures of keys that are no smaller reach `wanted`, and the sum
  /// of those that are larger. All measures together reach it.
  std::pair<Value, Value> threshold(Value wanted,
                                    llvm::function_ref<Value(Value key, Value place)> measure) {
    // Without sign, so that digits are in order.
    auto unsign = [&](Value key) -> Value {
      return b.create<arith::XOrIOp>(e.loc(), key, integer(i32, INT32_MIN, Emit::widthOf(key)));
    };
    auto shifted = [&](Value word, unsigned by) -> Value {
      if (by == 0 || by == 32)
        return word;
      return b.create<arith::ShRUIOp>(e.loc(), word, integer(i32, by, Emit::widthOf(word)));
    };
    Value prefix = integer(i32, 0), above = e.i64(0), zero = e.i64(0), one = e.i64(1);
    for (Digit digit : digits) {
      int64_t bins = int64_t(1) << digit.bits;
      unsigned known = digit.shift + digit.bits; // bits below those that are known
      unsigned half = e.lanesOf(i64);
      e.loop(zero, e.i64(bins), half,
             [&](Value bin) { e.store(i64, integer(i64, 0, half), binsAt, bin, half); });
      auto add = [&](Value place) {
        Value key = keyAt(place, 1);
        Value low = b.create<arith::AndIOp>(e.loc(), shifted(unsign(key), digit.shift),
                                            integer(i32, bins - 1));
        Value bin = b.create<arith::ExtUIOp>(e.loc(), i64, low);
        e.store(i64, e.add(e.load(i64, binsAt, bin), measure(key, place)), binsAt, bin);
      };
      if (known == 32) {
        e.loop(zero, count, 1, add);
      } else {
        auto agrees = [&](Value key) {
          return compare(CmpIPredicate::eq, shifted(unsign(key), known),
                         e.splat(prefix, Emit::widthOf(key)));
        };
        e.loop(zero, e.i64(padded), width, [&](Value place) {
          Value any = agrees(keyAt(place, width));
          if (width > 1)
            any = b.create<vector::ReductionOp>(e.loc(), vector::CombiningKind::OR, any);
          e.ifThen(any, [&] {
            e.loop(place, e.add(place, width), 1,
                   [&](Value at) { e.ifThen(agrees(keyAt(at, 1)), [&] { add(at); }); });
          });
        });
      }
      // From the largest digit down, to the first with which the sum is reached.
      Value last = e.i64(bins - 1);
      auto found = e.loopCarried(zero, e.i64(bins), one, {last, above, above},
                                 [&](Value step, ValueRange before) -> Emit::Values {
                                   Value bin = e.sub(last, step);
                                   Value sum = e.add(before[2], e.load(i64, binsAt, bin));
                                   Value isShort = e.less(sum, wanted);
                                   return {e.select(isShort, e.sub(bin, one), before[0]),
                                           e.select(isShort, sum, before[1]), sum};
                                 });
      above = found[1];
      prefix = b.create<arith::OrIOp>(
          e.loc(), b.create<arith::ShLIOp>(e.loc(), prefix, integer(i32, digit.bits)),
          narrow(found[0]));
    }
    return {unsign(prefix), above};
  }

  /// The first id at which the kept weights exceed `point`.
  Value pick(const Kept &kept, Value point) {
    Value zero = e.i64(0), end = e.i64(padded), weight = weightOfKey(kept.key);
    Value none = integer(i64, 0, width), ones = integer(i64, 1, width);
    Value bound = e.splat(kept.key, width);
    // The chunk: where it begins, and the sum and the number of equal keys before it.
    auto chunk = e.loopCarried(
        zero, end, e.i64(kChunk), {zero, zero, zero, zero, zero},
        [&](Value start, ValueRange before) -> Emit::Values {
          Value stop = e.min(e.add(start, kChunk), end);
          auto sums = e.loopCarried(
              start, stop, e.i64(width), {none, none},
              [&](Value place, ValueRange sums) -> Emit::Values {
                Value key = keyAt(place, width);
                Value larger = compare(CmpIPredicate::sgt, key, bound);
                Value same = compare(CmpIPredicate::eq, key, bound);
                return {e.add(sums[0], e.select(larger, weightAt(place, width), none)),
                        e.add(sums[1], e.select(same, ones, none))};
              });
          Value same = total(sums[1]);
          Value counted = e.max(e.min(e.sub(kept.equals, before[4]), same), zero);
          Value sum = e.add(before[3], e.add(total(sums[0]), e.mul(counted, weight)));
          Value equals = e.add(before[4], same);
          Value isBefore = compare(CmpIPredicate::sle, sum, point);
          return {e.select(isBefore, stop, before[0]), e.select(isBefore, sum, before[1]),
                  e.select(isBefore, equals, before[2]), sum, equals};
        });
    Value stop = e.min(e.add(chunk[0], kChunk), end);
    auto found =
        e.loopCarried(chunk[0], stop, e.i64(1), {chunk[0], chunk[1], chunk[2]},
                      [&](Value place, ValueRange before) -> Emit::Values {
                        Value key = keyAt(place, 1);
                        Value same = compare(CmpIPredicate::eq, key, kept.key);
                        Value isKept = b.create<arith::OrIOp>(
                            e.loc(), compare(CmpIPredicate::sgt, key, kept.key),
                            b.create<arith::AndIOp>(e.loc(), same, e.less(before[2], kept.equals)));
                        Value sum = e.add(before[1], e.select(isKept, weightAt(place, 1), zero));
                        Value isBefore = compare(CmpIPredicate::sle, sum, point);
                        return {e.select(isBefore, e.add(place, 1), before[0]), sum,
                                e.add(before[2], e.select(same, e.i64(1), zero))};
                      });
    return narrow(found[0]);
  }

  Expression &x;
  Emit &e;
  OpBuilder &b;
  lm::SampleOp op;
  Keys keys;
  Type i32, i64;
  unsigned width;
  int64_t n, padded;
  ArrayRef<Digit> digits;
  Value keysAt, weightsAt, binsAt; ///< in scratch
  Index row;                       ///< of the work item
  Value temperature, topK, topP, count, random;
  Value largestKey, largest; ///< as a key, as a logit
};

} // namespace

Schedule emitSample(Expression &x) { return SampleEmitter(x, opOf<lm::SampleOp>(x)).emit(); }

} // namespace lmc::cpu
