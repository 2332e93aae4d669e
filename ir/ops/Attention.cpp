#include "ir/CacheRows.h"
#include "ir/Dialect.h"

#include <array>
#include <cmath>
#include <limits>
#include <utility>

using namespace mlir;

namespace lmc::lm {
namespace {

/// The extents of one attention, and element addresses in q/out [B, T, H, D] and k/v [B, S, G, D], or
/// pools of pages.
struct Geometry {
  CachedRows keys;
  int64_t B, T, H, D, S, G;

  Geometry(const Tensor &q, const Tensor &k, const Tensor *pages = nullptr)
      : keys(k, pages), B(q.shape[0]), T(q.shape[1]), H(q.shape[2]), D(q.shape[3]),
        S(keys.tokens()), G(k.shape[2]) {}

  int64_t query(int64_t b, int64_t t, int64_t h) const { return ((b * T + t) * H + h) * D; }
  int64_t key(int64_t b, int64_t s, int64_t h) const {
    return (keys.read(b, s) * G + h / (H / G)) * D;
  }
  int64_t row(int64_t b, int64_t t, int64_t h) const { return (b * T + t) * H + h; }
};

double dot(const double *x, const double *y, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i)
    sum += x[i] * y[i];
  return sum;
}

void addScaled(double *y, double scale, const double *x, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    y[i] += scale * x[i];
}

double scoreOf(const AttentionScores &scores, double product) {
  double score = scores.scale * product, cap = scores.softCap;
  return cap ? cap * std::tanh(score / cap) : score;
}

/// d score / d (scale q k).
double slopeOf(const AttentionScores &scores, double score) {
  double share = scores.softCap ? score / scores.softCap : 0;
  return 1 - share * share;
}

bool isBytes(Value cache) { return elementOf(cache).isInteger(8); }

/// The last dimension of a cache of rows of D numbers.
Dim rowDim(Value cache, Dim D) {
  return isBytes(cache) && D.isStatic() ? Dim(cacheRowBytes(D.size)) : D;
}

/// A table of pages for sequences of `batch`, of a cache or pool.
LogicalResult checkPages(std::optional<Location> loc, Value pages, Dim batch, Value pool) {
  Shape table = shapeOf(pages), shape = shapeOf(pool);
  if (table.size() != 2 || table[0] != batch)
    return emitOptionalError(loc, "pages must be [",
                             StringRef(toString({batch})).drop_front().drop_back(),
                             ", pages of a sequence], got ", pages.getType());
  if (!shape[1].isStatic() || shape[1].size < 1)
    return emitOptionalError(loc, "a page must have a fixed number of tokens, got a pool ",
                             toString(shape));
  return success();
}

/// `pages`: null where k and v are no pools.
LogicalResult checkShapes(std::optional<Location> loc, Value q, Value k, Value v,
                          Value pages = {}) {
  Shape shapeQ = shapeOf(q), shapeK = shapeOf(k);
  if (shapeQ.size() != 4 || shapeK.size() != 4 || shapeK != shapeOf(v))
    return emitOptionalError(loc, "attention needs q [B, T, H, D] and k, v [B, S, G, D], got ",
                             toString(shapeQ), ", ", toString(shapeK), ", ", toString(shapeOf(v)));
  if (pages && failed(checkPages(loc, pages, shapeQ[0], k)))
    return failure();
  if ((!pages && shapeQ[0] != shapeK[0]) || rowDim(k, shapeQ[3]) != shapeK[3])
    return emitOptionalError(loc, "attention q ", toString(shapeQ), " and k ", toString(shapeK),
                             " differ in B or D");
  if (elementOf(k) != elementOf(v) || (elementOf(q) != elementOf(k) && !isBytes(k)))
    return emitOptionalError(loc, "attention q, k and v differ in their element types");
  if (!shapeQ[2].isStatic() || !shapeK[2].isStatic() || shapeK[2].size < 1 ||
      shapeQ[2].size % shapeK[2].size)
    return emitOptionalError(loc, "attention heads (", toString(shapeQ),
                             ") must be a multiple of key heads (", toString(shapeK), ")");
  return success();
}

template <typename Adaptor> LogicalResult checkScores(std::optional<Location> loc, Adaptor op) {
  if (op.getWindow()) {
    int64_t window = static_cast<int64_t>(*op.getWindow());
    if (window <= 0)
      return emitOptionalError(loc, "attention's window must be a positive number of keys, got ",
                               window);
    if (!op.getCausal())
      return emitOptionalError(loc, "attention's window (", window,
                               ") is counted back from a query's own position and needs 'causal'");
  }
  if (op.getSoftCap() && !(op.getSoftCap()->isFiniteNonZero() && !op.getSoftCap()->isNegative()))
    return emitOptionalError(loc, "attention's soft_cap must be positive and finite, got ",
                             op.getSoftCap()->convertToDouble());
  return success();
}

/// The further operands of the adjoint and its parts: `likeQ` [B, T, H, D] and `rows` [B, T, H].
template <typename Adaptor>
LogicalResult checkGrad(std::optional<Location> loc, Adaptor op, ArrayRef<Value> likeQ,
                        ArrayRef<Value> rows) {
  Value q = op.getQ(), k = op.getK();
  if (failed(checkShapes(loc, q, k, op.getV())) || failed(checkScores(loc, op)))
    return failure();
  if (shapeOf(q)[1] != shapeOf(k)[1])
    return emitOptionalError(loc, "attention's adjoint needs as many keys as queries, got ",
                             toString(shapeOf(q)), " and ", toString(shapeOf(k)));
  for (Value x : likeQ)
    if (x.getType() != q.getType())
      return emitOptionalError(loc, "out and dout must have q's type ", q.getType(), ", got ",
                               x.getType());
  Type row = tensorType(ArrayRef<Dim>(shapeOf(q)).drop_back(), accumulatorOf(elementOf(q)));
  for (Value x : rows)
    if (x.getType() != row)
      return emitOptionalError(loc, "lse and delta must be ", row, ", got ", x.getType());
  return success();
}

LogicalResult checkPast(std::optional<Location> loc, Value past, Dim batch) {
  if (Shape shape = shapeOf(past); !shape.empty() && shape != Shape{batch})
    return emitOptionalError(loc, "past must be a scalar or ", toString({batch}), ", got ",
                             past.getType());
  return success();
}

/// Operands and attributes of attention itself and of its parts.
template <typename Adaptor> LogicalResult checkForward(std::optional<Location> loc, Adaptor op) {
  Value q = op.getQ(), k = op.getK();
  ValueRange cached = op.getCached();
  if (cached.size() > 2)
    return emitOptionalError(loc, "attention takes q, k, v, past and pages, got ",
                             cached.size() + 3, " operands");
  if (failed(checkShapes(loc, q, k, op.getV(), cached.size() > 1 ? cached[1] : Value())) ||
      failed(checkScores(loc, op)))
    return failure();
  if (cached.empty() && shapeOf(q)[1] != shapeOf(k)[1])
    return emitOptionalError(loc, "attention over ", toString(shapeOf(k)),
                             " keys needs the number of past tokens");
  return cached.empty() ? success() : checkPast(loc, cached[0], shapeOf(q)[0]);
}

/// One query's softmax over the scores of `keys`, times their values: adds that to out [D] and returns
/// the log-sum-exp. Without keys 0 and -infinity.
double attend(const AttentionScores &modifiers, const double *query, const Tensor &k,
              const Tensor &v, ArrayRef<int64_t> keys, int64_t D, double *out) {
  double largest = -std::numeric_limits<double>::infinity(), sum = 0;
  if (keys.empty())
    return largest;
  SmallVector<double> scores;
  for (int64_t key : keys) {
    scores.push_back(scoreOf(modifiers, dot(query, &k.data[key], D)));
    largest = std::max(largest, scores.back());
  }
  for (double score : scores)
    sum += std::exp(score - largest);
  double total = largest + std::log(sum);
  for (auto [key, score] : llvm::zip_equal(keys, scores))
    addScaled(out, std::exp(score - total), &v.data[key], D);
  return total;
}

/// Of one sequence; `past` may be null.
int64_t pastOf(const Tensor *past, int64_t sequence) {
  if (!past)
    return 0;
  double tokens = past->data[past->rank() == 0 ? 0 : sequence];
  return std::max<int64_t>(static_cast<int64_t>(tokens), 0);
}

/// The i-th operand, or null: it is left out.
const Tensor *optional(ArrayRef<const Tensor *> operands, size_t i) {
  return i < operands.size() ? operands[i] : nullptr;
}

/// For each query with the keys [from, to) that it sees.
void forEachQuery(
    const Geometry &at, const AttentionScores &scores, const Tensor *past,
    llvm::function_ref<void(int64_t b, int64_t t, int64_t h, int64_t from, int64_t to)> visit) {
  for (int64_t b = 0; b < at.B; ++b) {
    VisibleKeys visible(at.T, at.S, pastOf(past, b), scores);
    for (int64_t h = 0; h < at.H; ++h)
      for (int64_t t = 0; t < at.T; ++t)
        visit(b, t, h, visible.begin(t), visible.end(t));
  }
}

/// dq, dk and dv, as attention_grad defines them.
std::array<Tensor, 3> cotangents(const Geometry &at, const Tensor &q, const Tensor &k,
                                 const Tensor &v, const Tensor &lse, const Tensor &delta,
                                 const Tensor &dout, const AttentionScores &scores) {
  VisibleKeys visible(at.T, at.S, 0, scores);
  Tensor dq(q.shape), dk(k.shape), dv(v.shape);
  for (int64_t b = 0; b < at.B; ++b)
    for (int64_t h = 0; h < at.H; ++h)
      for (int64_t t = 0; t < at.T; ++t)
        for (int64_t s = visible.begin(t); s < visible.end(t); ++s) {
          int64_t query = at.query(b, t, h), key = at.key(b, s, h), row = at.row(b, t, h);
          double score = scoreOf(scores, dot(&q.data[query], &k.data[key], at.D));
          double p = std::exp(score - lse.data[row]);
          double ds = p * (dot(&dout.data[query], &v.data[key], at.D) - delta.data[row]) *
                      slopeOf(scores, score);
          addScaled(&dq.data[query], scores.scale * ds, &k.data[key], at.D);
          addScaled(&dk.data[key], scores.scale * ds, &q.data[query], at.D);
          addScaled(&dv.data[key], p, &dout.data[query], at.D);
        }
  return {std::move(dq), std::move(dk), std::move(dv)};
}

/// Of the ops that read delta.
template <typename Op> std::array<Tensor, 3> cotangents(Op op, ArrayRef<const Tensor *> operands) {
  const Tensor &q = *operands[0], &k = *operands[1];
  return cotangents(Geometry(q, k), q, k, *operands[2], *operands[3], *operands[4], *operands[5],
                    AttentionScores::of(op));
}

Tensor rowSums(const Tensor &x, const Tensor &y) {
  Tensor sums(ArrayRef<int64_t>(x.shape).drop_back());
  int64_t n = x.lastDim();
  for (int64_t i = 0; i < sums.size(); ++i)
    sums.data[i] = dot(&x.data[i * n], &y.data[i * n], n);
  return sums;
}

} // namespace

SmallVector<NamedAttribute> AttentionScores::attributes(Builder &b) const {
  SmallVector<NamedAttribute> list = {b.getNamedAttr("scale", b.getF64FloatAttr(scale))};
  if (causal)
    list.push_back(b.getNamedAttr("causal", b.getUnitAttr()));
  if (window)
    list.push_back(b.getNamedAttr("window", b.getI64IntegerAttr(window)));
  if (softCap != 0)
    list.push_back(b.getNamedAttr("soft_cap", b.getF64FloatAttr(softCap)));
  return list;
}

// ---- attention ---------------------------------------------------------------------------------

LogicalResult AttentionOp::infer(Adaptor op, std::optional<Location> loc,
                                 SmallVectorImpl<Type> &types) {
  if (failed(checkForward(loc, op)))
    return failure();
  types.push_back(op.getQ().getType());
  types.push_back(tensorType(ArrayRef<Dim>(shapeOf(op.getQ())).drop_back(),
                             accumulatorOf(elementOf(op.getQ()))));
  return success();
}

LogicalResult AttentionOp::evaluate(ArrayRef<const Tensor *> operands,
                                    SmallVectorImpl<Tensor> &results) {
  const Tensor &q = *operands[0];
  auto numbers = [&](const Tensor &x) {
    return isBytes(getK()) ? decodeCacheRows(x, q.lastDim()) : x;
  };
  const Tensor k = numbers(*operands[1]), v = numbers(*operands[2]);
  Geometry at(q, k, optional(operands, 4));
  AttentionScores modifiers = AttentionScores::of(*this);
  Tensor out(q.shape), lse(ArrayRef<int64_t>(q.shape).drop_back());
  forEachQuery(at, modifiers, optional(operands, 3),
               [&](int64_t b, int64_t t, int64_t h, int64_t from, int64_t to) {
                 SmallVector<int64_t> keys;
                 for (int64_t s = from; s < to; ++s)
                   keys.push_back(at.key(b, s, h));
                 int64_t query = at.query(b, t, h);
                 lse.data[at.row(b, t, h)] =
                     attend(modifiers, &q.data[query], k, v, keys, at.D, &out.data[query]);
               });
  results.push_back(std::move(out));
  results.push_back(std::move(lse));
  return success();
}

LogicalResult AttentionOp::adjoint(GraphBuilder &g, ValueRange dys, MutableArrayRef<Value> d) {
  if (dys[1])
    return notDifferentiable(*this, "the log-sum-exp result is for the adjoint's own use");
  if (getPast())
    return notDifferentiable(*this, "attention over a cache is for inference");
  auto grad = g.b.create<AttentionGradOp>(
      g.loc, ValueRange{getQ(), getK(), getV(), getOut(), getLse(), dys[0]},
      AttentionScores::of(*this));
  for (int i = 0; i < 3; ++i)
    d[i] = grad->getResult(i);
  return success();
}

// ---- attention_parts ---------------------------------------------------------------------------

LogicalResult AttentionPartsOp::infer(Adaptor op, std::optional<Location> loc,
                                      SmallVectorImpl<Type> &types) {
  if (failed(checkForward(loc, op)))
    return failure();
  auto parts = static_cast<int64_t>(op.getParts()), chunk = static_cast<int64_t>(op.getChunk());
  if (parts < 1)
    return emitOptionalError(loc, "attention needs at least 1 part, got ", parts);
  if (chunk < 1 || chunk % 16)
    return emitOptionalError(loc, "attention's chunk must be a multiple of 16 keys, got ", chunk);
  Shape shape = shapeOf(op.getQ());
  Dim headDim = std::exchange(shape.back(), Dim(parts));
  Type sums = accumulatorOf(elementOf(op.getQ()));
  Type lse = tensorType(shape, sums);
  shape.push_back(headDim);
  types.append({tensorType(shape, sums), lse});
  return success();
}

LogicalResult AttentionPartsOp::evaluate(ArrayRef<const Tensor *> operands,
                                         SmallVectorImpl<Tensor> &results) {
  const Tensor &q = *operands[0], &k = *operands[1], &v = *operands[2];
  auto parts = static_cast<int64_t>(getParts()), chunk = static_cast<int64_t>(getChunk());
  Geometry at(q, k, optional(operands, 4));
  AttentionScores modifiers = AttentionScores::of(*this);
  Tensor out({at.B, at.T, at.H, parts, at.D}), lse({at.B, at.T, at.H, parts});
  forEachQuery(at, modifiers, optional(operands, 3),
               [&](int64_t b, int64_t t, int64_t h, int64_t from, int64_t to) {
                 std::vector<SmallVector<int64_t>> keys(parts);
                 for (int64_t s = from; s < to; ++s)
                   keys[s / chunk % parts].push_back(at.key(b, s, h));
                 for (int64_t part = 0; part < parts; ++part) {
                   int64_t row = at.row(b, t, h) * parts + part;
                   lse.data[row] = attend(modifiers, &q.data[at.query(b, t, h)], k, v, keys[part],
                                          at.D, &out.data[row * at.D]);
                 }
               });
  results.push_back(std::move(out));
  results.push_back(std::move(lse));
  return success();
}

LogicalResult AttentionPartsOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return notDifferentiable(*this, "attention over a cache is for inference");
}

// ---- attention_grad and its parts --------------------------------------------------------------

LogicalResult AttentionGradOp::infer(Adaptor op, std::optional<Location> loc,
                                     SmallVectorImpl<Type> &types) {
  types.append({op.getQ().getType(), op.getK().getType(), op.getV().getType()});
  return checkGrad(loc, op, {op.getOut(), op.getDout()}, {op.getLse()});
}

LogicalResult AttentionGradOp::evaluate(ArrayRef<const Tensor *> operands,
                                        SmallVectorImpl<Tensor> &results) {
  const Tensor &q = *operands[0], &k = *operands[1], &out = *operands[3], &dout = *operands[5];
  for (Tensor &x : cotangents(Geometry(q, k), q, k, *operands[2], *operands[4], rowSums(dout, out),
                              dout, AttentionScores::of(*this)))
    results.push_back(std::move(x));
  return success();
}

SmallVector<Value> AttentionGradOp::decompose(GraphBuilder &g) {
  Type sums = elementOf(getLse());
  Value delta = g.sumLast(g.mul(g.convert(getDout(), sums), g.convert(getOut(), sums)));
  return g.b
      .create<AttentionDqkvOp>(g.loc,
                               ValueRange{getQ(), getK(), getV(), getLse(), delta, getDout()},
                               AttentionScores::of(*this))
      .getResults();
}

LogicalResult AttentionGradOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return notDifferentiable(*this, "second derivatives of attention are not defined");
}

LogicalResult AttentionDqkvOp::infer(Adaptor op, std::optional<Location> loc,
                                     SmallVectorImpl<Type> &types) {
  types.append({op.getQ().getType(), op.getK().getType(), op.getV().getType()});
  return checkGrad(loc, op, {op.getDout()}, {op.getLse(), op.getDelta()});
}

LogicalResult AttentionDqkvOp::evaluate(ArrayRef<const Tensor *> operands,
                                        SmallVectorImpl<Tensor> &results) {
  for (Tensor &x : cotangents(*this, operands))
    results.push_back(std::move(x));
  return success();
}

LogicalResult AttentionDqkvOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return notDifferentiable(*this, "second derivatives of attention are not defined");
}

LogicalResult AttentionDqOp::infer(Adaptor op, std::optional<Location> loc,
                                   SmallVectorImpl<Type> &types) {
  types.push_back(op.getQ().getType());
  return checkGrad(loc, op, {op.getDout()}, {op.getLse(), op.getDelta()});
}

LogicalResult AttentionDqOp::evaluate(ArrayRef<const Tensor *> operands,
                                      SmallVectorImpl<Tensor> &results) {
  results.push_back(std::move(cotangents(*this, operands)[0]));
  return success();
}

LogicalResult AttentionDqOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return notDifferentiable(*this, "second derivatives of attention are not defined");
}

LogicalResult AttentionDkDvOp::infer(Adaptor op, std::optional<Location> loc,
                                     SmallVectorImpl<Type> &types) {
  types.append({op.getK().getType(), op.getV().getType()});
  return checkGrad(loc, op, {op.getDout()}, {op.getLse(), op.getDelta()});
}

LogicalResult AttentionDkDvOp::evaluate(ArrayRef<const Tensor *> operands,
                                        SmallVectorImpl<Tensor> &results) {
  auto [dq, dk, dv] = cotangents(*this, operands);
  results.append({std::move(dk), std::move(dv)});
  return success();
}

LogicalResult AttentionDkDvOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return notDifferentiable(*this, "second derivatives of attention are not defined");
}

// ---- cache_append ------------------------------------------------------------------------------

LogicalResult CacheAppendOp::infer(Adaptor op, std::optional<Location> loc,
                                   SmallVectorImpl<Type> &types) {
  Shape cache = shapeOf(op.getCache()), update = shapeOf(op.getUpdate());
  types.push_back(op.getCache().getType());
  auto refuse = [&] {
    return emitOptionalError(loc, "cache_append of ", op.getUpdate().getType(), " to ",
                             op.getCache().getType());
  };
  if (cache.size() != 4 || update.size() != 4 || (!op.getPages() && cache[0] != update[0]) ||
      cache[2] != update[2] || cache[3] != rowDim(op.getCache(), update[3]) ||
      (isBytes(op.getCache()) ? !elementOf(op.getUpdate()).isF32()
                              : elementOf(op.getCache()) != elementOf(op.getUpdate())))
    return refuse();
  if (op.getPages() && failed(checkPages(loc, op.getPages(), update[0], op.getCache())))
    return failure();
  auto [room, symbols] = elementCount(cachedTokens(op.getCache(), op.getPages()));
  if (symbols.empty() && update[1].isStatic() && update[1].size > room)
    return refuse();
  return checkPast(loc, op.getPast(), update[0]);
}

LogicalResult CacheAppendOp::evaluate(ArrayRef<const Tensor *> operands,
                                      SmallVectorImpl<Tensor> &results) {
  Tensor y = *operands[0];
  const Tensor &update = *operands[1];
  CachedRows rows(y, optional(operands, 3));
  int64_t B = update.shape[0], T = update.shape[1], G = update.shape[2], D = update.shape[3];
  for (int64_t b = 0; b < B; ++b)
    for (int64_t t = 0; t < T; ++t) {
      int64_t row = rows.write(b, pastOf(operands[2], b) + t);
      for (int64_t g = 0; row >= 0 && g < G; ++g) {
        const double *from = update.data.data() + ((b * T + t) * G + g) * D;
        double *to = y.data.data() + (row * G + g) * y.lastDim();
        if (isBytes(getCache()))
          encodeCacheRow(from, D, to);
        else
          std::copy_n(from, D, to);
      }
    }
  results.push_back(std::move(y));
  return success();
}

LogicalResult CacheAppendOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return notDifferentiable(*this, "caches are for inference");
}

} // namespace lmc::lm
