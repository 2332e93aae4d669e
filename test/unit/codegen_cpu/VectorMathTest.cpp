// Elementary functions against double libm over sweeps of bit patterns, and the same bits at every
// width.
#include "codegen/cpu/Emit.h"
#include "codegen/cpu/Lowering.h"
#include "runtime/KernelAbi.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

using namespace lmc;
using namespace lmc::cpu;
using mlir::Value;

namespace {

struct Function {
  const char *name;
  double (*exact)(double);
  Value (*make)(Emit &, Value);
  double ulps;
  double smallest = 0; // results below may be zero
  double largest = HUGE_VAL;
};

template <typename Op> Value makeOp(Emit &e, Value x) { return e.builder().create<Op>(e.loc(), x); }

const Function functions[] = {
    {"exp", std::exp, makeOp<mlir::math::ExpOp>, 1.2, 0x1p-126},
    {"expm1", std::expm1, makeOp<mlir::math::ExpM1Op>, 2},
    {"log", std::log, makeOp<mlir::math::LogOp>, 1},
    {"tanh", std::tanh, makeOp<mlir::math::TanhOp>, 3},
    {"erf", std::erf, makeOp<mlir::math::ErfOp>, 2},
    {"sin", std::sin, makeOp<mlir::math::SinOp>, 1, 0, 5e7},
    {"cos", std::cos, makeOp<mlir::math::CosOp>, 1, 0, 5e7},
};

/// Bit patterns over all of f32, dense ones around 1 and 0.1, and the corners.
std::vector<float> arguments() {
  std::vector<float> xs;
  for (uint64_t bits = 0; bits < uint64_t(1) << 32; bits += 16381)
    xs.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  for (int i = -40000; i <= 40000; ++i)
    xs.push_back(i * 0.0025f);
  float inf = std::numeric_limits<float>::infinity();
  for (float corner : {0.0f, 1e-45f, 0x1p-126f, 0x1p-25f, 0.93f, 1.0f, 4.0f, 9.02f, 18.0f,
                       87.33654f, 88.37626f, 88.72283f, 103.97f, 5e7f, 3.4e38f, inf})
    for (float x : {corner, std::nextafterf(corner, 0), std::nextafterf(corner, inf)})
      xs.insert(xs.end(), {x, -x});
  xs.push_back(std::numeric_limits<float>::quiet_NaN());
  while (xs.size() % 16)
    xs.push_back(1.0f);
  return xs;
}

double ulpOf(double y) {
  int exponent = std::ilogb(std::max(std::abs(y), 0x1p-126));
  return std::ldexp(1.0, exponent - 23);
}

void check(const Function &f, double bound, float x, float y) {
  double expected = f.exact(x);
  if (std::isnan(x) || std::isnan(expected) || std::abs(x) > f.largest) {
    EXPECT_TRUE(std::isnan(y)) << f.name << "(" << x << ") = " << y;
    return;
  }
  if (std::abs(expected) < f.smallest) {
    EXPECT_TRUE(y >= 0 && y <= f.smallest) << f.name << "(" << x << ") = " << y;
    return;
  }
  float rounded = static_cast<float>(expected);
  if (std::isinf(rounded) || rounded == 0) {
    EXPECT_EQ(std::bit_cast<uint32_t>(y), std::bit_cast<uint32_t>(rounded))
        << f.name << "(" << x << ") = " << y;
    return;
  }
  double error = std::abs(y - expected) / ulpOf(expected);
  EXPECT_LE(error, bound) << f.name << "(" << x << ") = " << y << ", exact " << expected;
}

TEST(VectorMathTest, ErrorsAreWithinTheBoundsAndWidthsAgree) {
  std::vector<float> xs = arguments();
  int64_t n = xs.size();
  for (const char *name : {"host", "x86-64-v2", "x86-64-v3"}) {
    Target target = Target::named(name);
    if (!target.runsOnHost())
      continue;
    mlir::MLIRContext context;
    loadCodegenDialects(context);
    mlir::Location loc = mlir::UnknownLoc::get(&context);
    mlir::OwningOpRef<mlir::ModuleOp> module(mlir::ModuleOp::create(loc));
    Emit e(*module, target);
    for (const Function &f : functions)
      for (unsigned width : {1, 8, 16}) {
        e.beginKernel(f.name + std::to_string(width), loc);
        e.loop(e.begin(), e.end(), width, [&](Value i) {
          Value x = e.load(e.f32Type(), e.buffer(0), i, width);
          e.store(e.f32Type(), f.make(e, x), e.buffer(1), i, width);
        });
        e.endKernel();
      }
    std::vector<Bytes> objects = {compileObject(*module, target)};
    LoadedCode code(linkShared(objects));
    for (const Function &f : functions) {
      std::vector<float> first(n), ys(n);
      for (unsigned width : {1, 8, 16}) {
        void *buffers[] = {xs.data(), (width == 1 ? first : ys).data()};
        auto kernel = reinterpret_cast<KernelFunction>(code.find(f.name + std::to_string(width)));
        kernel(buffers, nullptr, 0, n, nullptr);
        if (width > 1) {
          for (int64_t i = 0; i < n; ++i)
            if (!std::isnan(first[i]) || !std::isnan(ys[i]))
              ASSERT_EQ(std::bit_cast<uint32_t>(first[i]), std::bit_cast<uint32_t>(ys[i]))
                  << f.name << width << "(" << xs[i] << ") on " << name;
        }
      }
      double worst = 0;
      for (int64_t i = 0; i < n; ++i) {
        check(f, f.ulps, xs[i], first[i]);
        if (HasFailure())
          FAIL() << "on " << name;
        double exact = f.exact(xs[i]);
        if (std::isfinite(first[i]) && std::abs(exact) >= f.smallest)
          worst = std::max(worst, std::abs(first[i] - exact) / ulpOf(exact));
      }
      RecordProperty(std::string(f.name) + "_ulps_" + name, std::to_string(worst));
    }
  }
}

} // namespace
