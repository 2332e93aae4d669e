// Random graphs of every kind of op, with and without their gradients, against the evaluator: what
// fusion and memory planning join in ways that nobody thought of.
#include "test/unit/codegen/KernelCheck.h"

#include "ir/Dialect.h"
#include "runtime/Philox.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace mlir;

namespace lmc::test {
namespace {

/// Grows a graph op by op from values that are already there. All operations keep values of about
/// unit size and are continuous, so that f32 and f64 stay together.
class RandomGraph {
public:
  RandomGraph(lm::GraphBuilder &g, uint64_t seed, ArrayRef<Value> arguments)
      : g(g), random(seed, 99), pool(arguments) {}

  std::vector<Value> grow(unsigned ops) {
    std::vector<Value> results;
    for (unsigned i = 0; i < ops; ++i) {
      Value made = step();
      pool.push_back(made);
      if (i + 1 == ops || draw(4) == 0)
        results.push_back(made);
    }
    std::swap(results.front(), results.back()); // gradients flow from the last op
    return results;
  }

private:
  uint64_t draw(uint64_t bound) { return random.below(next++, bound); }
  /// Rather a young value than an old one.
  Value pick() { return pool[pool.size() - 1 - std::min(draw(pool.size()), draw(pool.size()))]; }
  static lm::Shape shape(Value v) { return lm::shapeOf(v); }
  static int64_t extent(Value v, int64_t dim) { return shape(v)[dim].size; }
  static int64_t rank(Value v) { return static_cast<int64_t>(shape(v).size()); }

  /// The first picked value that fits, or null.
  Value pickIf(llvm::function_ref<bool(Value)> fits) {
    for (int i = 0; i < 20; ++i)
      if (Value v = pick(); fits(v))
        return v;
    return {};
  }

  Value step() {
    for (;;)
      if (Value made = attempt(draw(15)))
        return made;
  }

  Value attempt(uint64_t kind) {
    Value x = pick();
    switch (kind) {
    case 0:
      return unary(x);
    case 1:
    case 2:
      return binary(x);
    case 3:
      return rank(x) ? reduction(x) : Value();
    case 4:
      return rank(x) > 1 ? g.transpose(x, permutation(rank(x))) : Value();
    case 5: {
      if (!rank(x))
        return {};
      int64_t dim = draw(rank(x)), size = 1 + draw(extent(x, dim));
      return g.slice(x, dim, draw(extent(x, dim) - size + 1), size);
    }
    case 6: {
      if (!rank(x))
        return {};
      int64_t dim = draw(rank(x));
      return extent(x, dim) < 40 ? g.concat({x, g.neg(x)}, dim) : Value();
    }
    case 7:
    case 8:
      return rank(x) > 1 ? product(x) : Value();
    case 9:
      return rank(x) ? g.b.create<lm::SoftmaxOp>(g.loc, g.mul(x, 2.0)) : Value();
    case 10: {
      if (!rank(x))
        return {};
      int64_t width = extent(x, rank(x) - 1);
      Value weight = pickIf([&](Value v) { return rank(v) == 1 && extent(v, 0) == width; });
      return weight ? g.b.create<lm::RmsNormOp>(g.loc, x, weight, g.b.getF64FloatAttr(0.1))
                    : Value();
    }
    case 11: {
      SmallVector<lm::Dim> all;
      int64_t count = 1;
      for (const lm::Dim &dim : shape(x))
        count *= dim.size;
      if (rank(x) == 1)
        return count % 3 == 0 ? g.reshape(x, {3, count / 3}) : Value();
      return g.reshape(x, {count});
    }
    case 12: {
      auto type = cast<RankedTensorType>(x.getType());
      if (!rank(x))
        return {};
      Value mask = g.compare("lt", g.iota(type, draw(rank(x))), g.full(1.5 + draw(4), type));
      return g.select(mask, x, g.mul(g.full(0.5, type), x));
    }
    case 13:
      return rank(x) > 1 ? skew(x) : Value();
    default: {
      if (rank(x) != 2)
        return {};
      SmallVector<int32_t> ids;
      for (int i = 0; i < 7; ++i)
        ids.push_back(static_cast<int32_t>(draw(extent(x, 0))));
      auto type = RankedTensorType::get({7}, g.b.getI32Type());
      Value which = g.b.create<lm::ConstantOp>(g.loc, DenseElementsAttr::get(type, ArrayRef(ids)));
      return g.b.create<lm::GatherOp>(g.loc, x, which);
    }
    }
  }

  /// Windows, strides and their adjoints, along any dimension.
  Value skew(Value x) {
    int64_t dim = draw(rank(x)), by = (dim + 1 + draw(rank(x) - 1)) % rank(x);
    lm::Shape result = shape(x);
    result[dim] = 1 + draw(std::min<int64_t>(extent(x, dim) + 3, 40));
    int64_t step = 1 + draw(3), every = 1 + draw(2);
    int64_t slope = draw(5), start = draw(7);
    return g.b.create<lm::SkewOp>(g.loc, lm::tensorType(result, lm::elementOf(x)), x, dim, by, step,
                                  slope - 2, start - 3, every);
  }

  Value unary(Value x) {
    switch (draw(6)) {
    case 0:
      return g.tanh(x);
    case 1:
      return g.neg(x);
    case 2:
      return g.sin(g.mul(x, 2.0));
    case 3:
      return g.b.create<lm::SigmoidOp>(g.loc, x);
    case 4:
      return g.b.create<lm::GeluOp>(g.loc, x, draw(2) == 0);
    default:
      return g.exp(g.tanh(x));
    }
  }

  Value binary(Value x) {
    // Equal or broadcast shapes, as NumPy aligns them.
    Value y = pickIf([&](Value v) {
      if (rank(v) > rank(x))
        return false;
      for (int64_t i = 1; i <= rank(v); ++i)
        if (extent(v, rank(v) - i) != extent(x, rank(x) - i) && extent(v, rank(v) - i) != 1)
          return false;
      return true;
    });
    if (!y)
      return {};
    switch (draw(4)) {
    case 0:
      return g.mul(g.add(x, y), 0.7);
    case 1:
      return g.sub(x, g.mul(y, 0.5));
    case 2:
      return g.div(x, g.add(g.abs(y), 1.0));
    default:
      return g.mul(x, g.tanh(y));
    }
  }

  Value reduction(Value x) {
    SmallVector<int64_t> dims;
    double count = 1;
    for (int64_t dim = 0; dim < rank(x); ++dim)
      if (draw(2)) {
        dims.push_back(dim);
        count *= static_cast<double>(extent(x, dim));
      }
    if (dims.empty())
      return {};
    return draw(3) == 0 ? g.max(x, dims) : g.mul(g.sum(x, dims), 1 / std::sqrt(count));
  }

  SmallVector<int64_t> permutation(int64_t size) {
    SmallVector<int64_t> order;
    for (int64_t i = 0; i < size; ++i)
      order.insert(order.begin() + draw(i + 1), i);
    return order;
  }

  Value product(Value x) {
    bool transposeX = draw(2), transposeY = draw(2);
    int64_t inner = extent(x, rank(x) - (transposeX ? 2 : 1));
    Value y = pickIf([&](Value v) {
      if (rank(v) < 2 || extent(v, rank(v) - (transposeY ? 1 : 2)) != inner)
        return false;
      return (rank(v) == 2 && (!transposeX || rank(x) == 2)) ||
             (rank(v) == rank(x) &&
              llvm::equal(ArrayRef(shape(v)).drop_back(2), ArrayRef(shape(x)).drop_back(2)));
    });
    if (!y)
      return {};
    return g.mul(g.matmul(x, y, transposeX, transposeY), 1 / std::sqrt(double(inner)));
  }

  lm::GraphBuilder &g;
  Philox random;
  uint64_t next = 0;
  std::vector<Value> pool;
};

FamilyCase randomCase(uint64_t seed) {
  FamilyCase one{"random", {}, [=](lm::GraphBuilder &g, ArrayRef<Value> arguments) {
                   return RandomGraph(g, seed, arguments).grow(6 + seed % 13);
                 }};
  const char *sets[][5] = {{"f32[5,7]", "f32[7,5]", "f32[7]", "f32[5]", "f32[3,5,7]"},
                           {"f32[33,17]", "f32[17,17]", "f32[17]", "f32[33]", "f32[2,33,17]"},
                           {"f32[1,19]", "f32[19,1]", "f32[19]", "f32[1]", "f32[19,19]"},
                           {"f32[12,9]", "f32[9,12]", "f32[9]", "f32[12]", "f32[4,3,9]"}};
  for (const char *argument : sets[seed % 4])
    one.arguments.push_back(argument);
  return one;
}

class RandomGraphs : public testing::TestWithParam<int>, public Context {};

TEST_P(RandomGraphs, MatchTheEvaluator) {
  FamilyCase family = randomCase(GetParam());
  for (bool gradients : {false, true}) {
    auto module = buildModule(*this, family, gradients);
    if (HasFailure())
      return;
    checkKernels(*this, *module, {{}}, {drawArguments(family, {})},
                 {.tolerance = 5e-5, .threads = {1, 3}});
    if (HasFailure()) {
      module->print(llvm::errs());
      return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomGraphs, testing::Range(0, 60));

} // namespace
} // namespace lmc::test
