// The matrix product generator against a double loop nest: shapes, layouts, batches, bodies,
// splits.
#include "codegen/cpu/Matmul.h"
#include "codegen/cpu/Lowering.h"
#include "ir/Panels.h"
#include "runtime/KernelAbi.h"

#include <fmt/format.h>

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <random>

using namespace lmc;
using namespace lmc::cpu;
using mlir::Value;

namespace {

/// The host and every narrower vector unit it can stand in for.
std::vector<Target> targets() {
  std::vector<Target> all = {Target::host()};
  for (const char *name : {"x86-64-v2", "x86-64-v3"})
    if (Target target = Target::named(name);
        target.runsOnHost() && target.vectorBits < all.front().vectorBits)
      all.push_back(target);
  return all;
}

struct Case {
  int64_t m, n, k;
  bool transposeA = false, transposeB = false; // stored [k, m], [n, k]
  int64_t outerBatch = 1, innerBatch = 1;      // B is shared along the inner one
  int64_t symbolicMax = 0;                     // > 0: m is dims[0]
  int64_t panelWidth = 0;                      // > 0: b is packed ahead
};

std::string nameOf(const Case &c, const Target &target) {
  return fmt::format("{} {}x{}x{}{}{} batch {}x{} max {} panels {}", target.cpu, c.m, c.n, c.k,
                     c.transposeA ? " At" : "", c.transposeB ? " Bt" : "", c.outerBatch,
                     c.innerBatch, c.symbolicMax, c.panelWidth);
}

MatmulDescription describe(const Case &c, mlir::Type f32) {
  MatmulDescription d;
  // Buffers are laid out for the largest m.
  Extent m = c.symbolicMax ? Extent::symbolic(0, c.symbolicMax) : Extent(c.m);
  d.m = m;
  d.n = c.n;
  d.k = c.k;
  auto times = [](Extent extent, int64_t by) {
    extent.factor *= by;
    extent.max *= by;
    return extent;
  };
  d.a.storage = d.a.element = d.b.storage = d.b.element = f32;
  d.a.rowStride = c.transposeA ? Extent(1) : Extent(c.k);
  d.a.columnStride = c.transposeA ? m : Extent(1);
  d.b.rowStride = c.transposeB ? 1 : c.n;
  d.b.columnStride = c.transposeB ? c.k : 1;
  d.b.panelWidth = c.panelWidth;
  if (c.outerBatch * c.innerBatch > 1) {
    d.batch = {c.outerBatch, c.innerBatch};
    d.a.batchStrides = {times(m, c.k * c.innerBatch), times(m, c.k)};
    d.b.batchStrides = {c.panelWidth ? 0 : c.n * c.k, 0};
  }
  return d;
}

enum class Fused { Nothing, BiasResidualTwoOutputs, ScaledLoads };

/// One compiled product. Operands: a, b, bias [n], residual [batch, m, n], c, second output.
struct Product {
  Case shape;
  mlir::MLIRContext context;
  MatmulPlan plan;
  std::optional<LoadedCode> code;
  KernelFunction kernel;

  Product(const Case &c, const Target &target, Fused fused) : shape(c) {
    loadCodegenDialects(context);
    auto module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
    mlir::OwningOpRef<mlir::ModuleOp> owner(module);
    Emit e(module, target);
    mlir::Type f32 = e.f32Type();
    MatmulDescription d = describe(c, f32);
    plan = planMatmul(d, target);
    e.beginKernel("product", mlir::UnknownLoc::get(&context));
    MatmulBodies bodies;
    bodies.epilogue = [&](llvm::ArrayRef<Value> batch, Value row, Value column, Value sum,
                          Lanes lanes) {
      Value place = e.i64(0);
      if (!batch.empty())
        place = e.add(e.mul(batch[0], c.innerBatch), batch[1]);
      place = e.add(e.mul(e.add(e.mul(place, d.m.emit(e)), row), c.n), column);
      if (fused == Fused::BiasResidualTwoOutputs) {
        sum = e.addf(sum, e.load(f32, e.buffer(2), column, lanes));
        e.store(f32, sum, e.buffer(5), place, lanes);
        sum = e.addf(sum, e.load(f32, e.buffer(3), place, lanes));
      }
      e.store(f32, sum, e.buffer(4), place, lanes);
    };
    if (fused == Fused::ScaledLoads) {
      // a is scaled by 2 and b by 3 as they are read; batch 1x1 only.
      bodies.loadA = [&](llvm::ArrayRef<Value>, Value row, Value column, Lanes lanes) {
        Value index =
            c.transposeA ? e.add(e.mul(column, d.m.emit(e)), row) : e.add(e.mul(row, c.k), column);
        return e.mulf(e.load(f32, e.buffer(0), index, lanes), e.f32(2, lanes.width));
      };
      bodies.loadB = [&](llvm::ArrayRef<Value>, Value row, Value column, Lanes lanes) {
        Value index =
            c.transposeB ? e.add(e.mul(column, c.k), row) : e.add(e.mul(row, c.n), column);
        return e.mulf(e.load(f32, e.buffer(1), index, lanes), e.f32(3, lanes.width));
      };
    }
    emitMatmul(e, d, plan, e.buffer(0), e.buffer(1), bodies);
    e.endKernel();
    std::vector<Bytes> objects = {compileObject(module, target)};
    code.emplace(linkShared(objects));
    kernel = reinterpret_cast<KernelFunction>(code->find("product"));
  }

  int64_t items(int64_t m) const {
    int64_t count = 1;
    for (const ItemFactor &f : plan.items)
      count *= f.dim < 0 ? f.mul : (m * f.mul + f.div - 1) / f.div;
    return count;
  }
};

/// Small integers and halves would hide lost bits; these do not.
std::vector<float> randomValues(int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> distribution(-1, 1);
  std::vector<float> values(count);
  for (float &value : values)
    value = distribution(generator);
  return values;
}

struct Data {
  Case c;
  std::vector<float> a, b, bias, residual, output, second;
  std::vector<double> expected;
  double tolerance;

  explicit Data(const Case &shape) : c(shape) {
    int64_t batch = c.outerBatch * c.innerBatch;
    a = randomValues(batch * c.m * c.k, 1);
    b = randomValues(c.outerBatch * c.n * c.k, 2);
    bias = randomValues(c.n, 3);
    residual = randomValues(batch * c.m * c.n, 4);
    output.assign(batch * c.m * c.n + 16, 77.0f);
    second = output;
    tolerance = 1e-6 * std::sqrt(double(c.k)) + 1e-7;
    expected.resize(batch * c.m * c.n);
    for (int64_t o = 0; o < batch; ++o)
      for (int64_t i = 0; i < c.m; ++i)
        for (int64_t j = 0; j < c.n; ++j) {
          double sum = 0;
          for (int64_t l = 0; l < c.k; ++l) {
            const float *am = &a[o * c.m * c.k], *bm = &b[o / c.innerBatch * c.n * c.k];
            sum += double(c.transposeA ? am[l * c.m + i] : am[i * c.k + l]) *
                   double(c.transposeB ? bm[j * c.k + l] : bm[l * c.n + j]);
          }
          expected[(o * c.m + i) * c.n + j] = sum;
        }
  }

  /// b as the product wants it.
  std::vector<float> stored() const {
    if (c.panelWidth == 0)
      return b;
    lm::Panels panels{c.k, c.n, c.panelWidth};
    std::vector<float> packed(panels.size());
    for (int64_t k = 0; k < c.k; ++k)
      for (int64_t j = 0; j < c.n; ++j)
        packed[panels.at(k, j)] = b[c.transposeB ? j * c.k + k : k * c.n + j];
    return packed;
  }

  void run(const Product &product, int64_t step) {
    std::vector<float> right = stored();
    void *buffers[] = {a.data(),        right.data(),  bias.data(),
                       residual.data(), output.data(), second.data()};
    // Scratch holds NaN at first: nothing may be used before it is written. A word after it is
    // watched.
    size_t bytes = product.plan.scratchBytes + 64;
    std::unique_ptr<void, void (*)(void *)> scratch(std::aligned_alloc(64, alignUp(bytes)),
                                                    std::free);
    std::memset(scratch.get(), 0xff, bytes);
    int64_t dims[] = {c.m}, items = product.items(c.m);
    size_t written = 0;
    std::vector<float> gathered(output.size(), 77.0f);
    for (int64_t begin = 0; begin < items; begin += step) {
      std::fill(output.begin(), output.end(), 77.0f);
      product.kernel(buffers, dims, begin, std::min(items, begin + step), scratch.get());
      for (size_t i = 0; i < output.size(); ++i)
        if (output[i] != 77.0f) {
          gathered[i] = output[i];
          ++written;
        }
    }
    output = gathered;
    EXPECT_EQ(written, expected.size()) << "items by " << step << " overlap or leave gaps";
    auto *end = static_cast<unsigned char *>(scratch.get()) + product.plan.scratchBytes;
    for (int i = 0; i < 64; ++i)
      ASSERT_EQ(end[i], 0xff) << "wrote " << i << " bytes past its scratch";
  }

  void expectNear(const char *what, const std::vector<float> &values,
                  const std::function<double(size_t)> &expectedAt) const {
    for (size_t i = 0; i < expected.size(); ++i)
      ASSERT_NEAR(values[i], expectedAt(i), tolerance * (1 + std::abs(expectedAt(i))))
          << what << " [" << i / c.n << ", " << i % c.n << "]";
    for (size_t i = expected.size(); i < values.size(); ++i)
      ASSERT_EQ(values[i], 77.0f) << what << ": wrote past its end";
  }
};

void check(const Case &c, const Target &target, Fused fused = Fused::Nothing) {
  SCOPED_TRACE(nameOf(c, target));
  Product product(c, target, fused);
  std::vector<int64_t> sizes = {c.m};
  if (c.symbolicMax) // one kernel, several m
    sizes = {1, 2, 3, 5, 8, 9, 31, c.symbolicMax};
  for (int64_t m : sizes) {
    Case actual = c;
    actual.m = m;
    Data data(actual);
    data.run(product, product.items(m));
    double scale = fused == Fused::ScaledLoads ? 6 : 1;
    auto sum = [&](size_t i) { return scale * data.expected[i]; };
    if (fused != Fused::BiasResidualTwoOutputs) {
      data.expectNear("c", data.output, sum);
    } else {
      auto biased = [&](size_t i) { return data.expected[i] + data.bias[i % c.n]; };
      data.expectNear("second", data.second, biased);
      data.expectNear("c", data.output, [&](size_t i) { return biased(i) + data.residual[i]; });
    }
    if (testing::Test::HasFatalFailure())
      return;
    // The same bits however the items are split.
    std::vector<float> whole = data.output;
    for (int64_t step : {int64_t(1), int64_t(3), (product.items(m) + 1) / 2}) {
      std::fill(data.output.begin(), data.output.end(), 77.0f);
      data.run(product, step);
      ASSERT_EQ(std::memcmp(whole.data(), data.output.data(), whole.size() * sizeof(float)), 0)
          << "items by " << step << " of " << product.items(m) << ", m " << m;
    }
  }
}

void checkLayouts(Case c, const Target &target, Fused fused = Fused::Nothing) {
  // All four for the host; the narrower units differ only in their widths.
  bool isHost = target.canonical() == Target::host().canonical();
  for (int layout = 0; layout < 4; layout += isHost ? 1 : 3) {
    c.transposeA = layout & 1;
    c.transposeB = layout & 2;
    check(c, target, fused);
    if (testing::Test::HasFatalFailure())
      return;
  }
}

TEST(MatmulTest, OddShapesInAllLayouts) {
  for (const Target &target : targets())
    for (Case c : {Case{1, 1, 1}, Case{1, 17, 3}, Case{3, 1, 17}, Case{17, 3, 1}, Case{5, 127, 33},
                   Case{127, 34, 65}, Case{64, 64, 64}, Case{1, 333, 127}, Case{9, 10, 333}}) {
      checkLayouts(c, target);
      if (HasFatalFailure())
        return;
    }
}

// Sizes beyond every cache block, so that each blocking loop runs more than once.
TEST(MatmulTest, SeveralCacheBlocks) {
  for (const Target &target : targets())
    for (Case c : {Case{530, 70, 401, true, false}, Case{20, 1100, 900, false, true},
                   Case{33, 40, 4500}, Case{30, 130, 1000, true, true}}) {
      check(c, target);
      if (HasFatalFailure())
        return;
    }
}

TEST(MatmulTest, BatchesWithBroadcast) {
  for (const Target &target : targets())
    for (Case c : {Case{13, 24, 16, false, false, 2, 3}, Case{2, 19, 33, false, false, 3, 2},
                   Case{40, 9, 8, false, false, 1, 5}}) {
      checkLayouts(c, target);
      if (HasFatalFailure())
        return;
    }
}

TEST(MatmulTest, SymbolicRows) {
  for (const Target &target : targets())
    for (Case c : {Case{0, 96, 40, false, false, 1, 1, 100}, Case{0, 35, 51, false, true, 1, 1, 77},
                   Case{0, 20, 19, true, false, 2, 2, 45}, Case{0, 24, 17, false, true, 1, 1, 6}}) {
      if (c.symbolicMax < 31)
        check(Case{c.symbolicMax, c.n, c.k, c.transposeA, c.transposeB}, target);
      else
        check(c, target);
      if (HasFatalFailure())
        return;
    }
}

/// c[i] for one whole launch.
std::vector<float> computed(const Case &c, const Target &target) {
  Product product(c, target, Fused::Nothing);
  Data data(c);
  data.run(product, product.items(c.m));
  return data.output;
}

// Packed ahead: the last panel is part of one, k ends inside a step, rows end inside a tile.
TEST(MatmulTest, Panels) {
  for (const Target &target : targets()) {
    int64_t width = panelWidth(target);
    std::vector<Case> cases;
    for (int64_t m : {1, 2, 3, 5, 7, 12, 13, 17, 40})
      cases.push_back({m, 2 * width + 5, 71});
    for (bool transposeA : {false, true})
      for (int64_t max : {1, 6, 40})
        cases.push_back({0, 3 * width, 37, transposeA, false, 1, 1, max});
    cases.push_back({33, width - 3, 4500});                  // several blocks of k
    cases.push_back({530, 5 * width + 1, 401, true});        // of rows too
    cases.push_back({3, width + 1, 30, false, false, 1, 2}); // shared by batches
    for (Case c : cases) {
      c.panelWidth = width;
      if (c.symbolicMax > 0 && c.symbolicMax < 31)
        c.m = c.symbolicMax, c.symbolicMax = 0;
      for (Fused fused : {Fused::Nothing, Fused::BiasResidualTwoOutputs}) {
        check(c, target, fused);
        if (HasFatalFailure())
          return;
      }
    }
  }
}

// Every path that reads panels adds over k in the order of the packed path.
TEST(MatmulTest, PanelsGiveTheBitsOfPlainWeights) {
  for (const Target &target : targets())
    for (int64_t m : {1, 4, 16, 70}) {
      Case plain{m, 100, 333}, packed = plain;
      packed.panelWidth = panelWidth(target);
      std::vector<float> expected = computed(plain, target), got = computed(packed, target);
      ASSERT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0)
          << nameOf(packed, target);
    }
}

TEST(MatmulTest, FusedBodies) {
  for (const Target &target : targets())
    for (Case c : {Case{37, 50, 29, true, false}, Case{3, 50, 29, false, true},
                   Case{24, 64, 32, false, true}, Case{4, 50, 29}})
      for (Fused fused : {Fused::BiasResidualTwoOutputs, Fused::ScaledLoads}) {
        check(c, target, fused);
        if (HasFatalFailure())
          return;
      }
}

/// C = A B with A of type T (f32 or f64) and any strides and storage, by 1 item a call.
template <typename T, typename BElement>
void checkStorage(const Target &target, int64_t m, int64_t n, int64_t k, MatmulOperand aForm,
                  MatmulOperand bForm, const std::vector<T> &a, const std::vector<BElement> &b,
                  mlir::MLIRContext &context, const std::function<double(BElement)> &value) {
  SCOPED_TRACE(fmt::format("{} {}x{}x{}", target.cpu, m, n, k));
  mlir::OwningOpRef<mlir::ModuleOp> module(mlir::ModuleOp::create(mlir::UnknownLoc::get(&context)));
  Emit e(*module, target);
  MatmulDescription d{{}, m, n, k, aForm, bForm};
  MatmulPlan plan = planMatmul(d, target);
  e.beginKernel("product", e.loc());
  MatmulBodies bodies;
  bodies.epilogue = [&](llvm::ArrayRef<Value>, Value row, Value column, Value sum, Lanes lanes) {
    e.store(aForm.storage, sum, e.buffer(2), e.add(e.mul(row, n), column), lanes);
  };
  emitMatmul(e, d, plan, e.buffer(0), e.buffer(1), bodies);
  e.endKernel();
  std::vector<Bytes> objects = {compileObject(*module, target)};
  LoadedCode code(linkShared(objects));
  auto kernel = reinterpret_cast<KernelFunction>(code.find("product"));
  std::vector<T> c(m * n);
  std::unique_ptr<void, void (*)(void *)> scratch(
      std::aligned_alloc(64, alignUp(plan.scratchBytes)), std::free);
  void *buffers[] = {const_cast<T *>(a.data()), const_cast<BElement *>(b.data()), c.data()};
  int64_t items = 1;
  for (const ItemFactor &factor : plan.items)
    items *= factor.mul;
  for (int64_t item = 0; item < items; ++item)
    kernel(buffers, nullptr, item, item + 1, scratch.get());
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t l = 0; l < k; ++l)
        sum += double(a[i * aForm.rowStride.factor + l * aForm.columnStride.factor]) *
               value(b[l * bForm.rowStride.factor + j * bForm.columnStride.factor]);
      ASSERT_NEAR(c[i * n + j], sum, sizeof(T) == 8 ? 1e-13 : 1e-5) << i << " " << j;
    }
}

// Every second row and column of larger matrices: neither axis is contiguous.
TEST(MatmulTest, StridesWithoutAUnitAxis) {
  mlir::MLIRContext context;
  loadCodegenDialects(context);
  mlir::Type f32 = mlir::Float32Type::get(&context);
  int64_t n = 19, k = 23;
  for (const Target &target : targets())
    for (int64_t m : {2, 21})
      checkStorage<float, float>(target, m, n, k, {f32, 4 * k, 2, {}}, {f32, 4 * n, 2, {}},
                                 randomValues(4 * m * k, 1), randomValues(4 * k * n, 2), context,
                                 [](float x) { return x; });
}

TEST(MatmulTest, DoublePrecisionAndBf16Weights) {
  mlir::MLIRContext context;
  loadCodegenDialects(context);
  mlir::Type f32 = mlir::Float32Type::get(&context), f64 = mlir::Float64Type::get(&context),
             bf16 = mlir::BFloat16Type::get(&context);
  int64_t n = 21, k = 27;
  std::vector<float> values = randomValues(n * k, 2);
  std::vector<double> doubles(values.begin(), values.end());
  for (double &x : doubles)
    x += 1e-10; // not an f32
  std::vector<uint16_t> halves;
  for (float x : values)
    halves.push_back(std::bit_cast<uint32_t>(x) >> 16);
  for (const Target &target : targets())
    for (int64_t m : {3, 20})
      for (bool transposed : {false, true}) {
        Extent row = transposed ? 1 : n, column = transposed ? k : 1;
        std::vector<float> a = randomValues(m * k, 1);
        checkStorage<double, double>(target, m, n, k, {f64, k, 1, {}}, {f64, row, column, {}},
                                     std::vector<double>(a.begin(), a.end()), doubles, context,
                                     [](double x) { return x; });
        checkStorage<float, uint16_t>(
            target, m, n, k, {f32, k, 1, {}}, {bf16, row, column, {}}, a, halves, context,
            [](uint16_t x) { return std::bit_cast<float>(uint32_t(x) << 16); });
        if (HasFatalFailure())
          return;
      }
}

// NEON cannot run here; its code has 8 x 12 tiles of fused multiply-adds.
TEST(MatmulTest, CompilesForAarch64) {
  Target target = Target::named("aarch64");
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module(mlir::ModuleOp::create(mlir::UnknownLoc::get(&context)));
  Emit e(*module, target);
  MatmulDescription d{{}, 64, 96, 32, {e.f32Type(), 32, 1, {}}, {e.f32Type(), 96, 1, {}}};
  MatmulPlan plan = planMatmul(d, target);
  EXPECT_EQ(plan.mr, 8u);
  EXPECT_EQ(plan.nr(), 12);
  e.beginKernel("product", e.loc());
  MatmulBodies bodies;
  bodies.epilogue = [&](llvm::ArrayRef<Value>, Value row, Value column, Value sum, Lanes lanes) {
    e.store(e.f32Type(), sum, e.buffer(2), e.add(e.mul(row, 96), column), lanes);
  };
  emitMatmul(e, d, plan, e.buffer(0), e.buffer(1), bodies);
  e.endKernel();
  std::string text = emitAssembly(*module, target);
  size_t count = 0;
  for (size_t at = 0; (at = text.find("fmla", at)) != std::string::npos; ++at)
    ++count;
  EXPECT_EQ(count, 2 * 8u * 3 * plan.kUnroll); // the tile, and the tile that prefetches rows of A
  EXPECT_FALSE(compileObject(*module, target).empty());
}

} // namespace
