// The attention generator against the definition in double: odd sizes, grouped heads, past, windows, soft
// caps, slices of a fused buffer, the adjoint as one kernel and as two, and splits of the work.
#include "codegen/cpu/Attention.h"
#include "codegen/cpu/Lowering.h"
#include "runtime/KernelAbi.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <span>

using namespace lmc;
using namespace lmc::cpu;
using mlir::Value;

namespace {

struct Case {
  int64_t batch, queries, keys; // keys: capacity of the cache where there is a past
  int64_t heads, keyHeads, headDim;
  bool causal = true;
  int64_t past = -1;       // >= 0: given to the kernel
  bool fused = false;      // q, k and v are slices of one [B, T, (H + 2 G) D] buffer
  int64_t symbolicMax = 0; // > 0: T is dims[0]
  double scale = 0.3;
  int64_t window = 0;
  double softCap = 0;

  int64_t position(int64_t t) const { return std::max<int64_t>(past, 0) + t; }
  int64_t seen(int64_t t) const {
    if (causal)
      return position(t) + 1;
    return past >= 0 ? past + queries : keys;
  }
  int64_t firstSeen(int64_t t) const {
    return window ? std::max<int64_t>(position(t) - window + 1, 0) : 0;
  }
  static Case windowed(Case c, int64_t window, double softCap = 0) {
    c.window = window, c.softCap = softCap;
    return c;
  }
};

std::string nameOf(const Case &c, const Target &target) {
  return fmt::format("{} B{} T{} S{} H{} G{} D{}{} past {}{} max {} window {} cap {}", target.cpu,
                     c.batch, c.queries, c.keys, c.heads, c.keyHeads, c.headDim,
                     c.causal ? " causal" : "", c.past, c.fused ? " fused" : "", c.symbolicMax,
                     c.window, c.softCap);
}

std::vector<Target> targets() {
  std::vector<Target> all;
  for (const char *name : {"host", "x86-64-v2", "x86-64-v3"})
    if (Target target = Target::named(name); target.runsOnHost())
      all.push_back(target);
  return all;
}

/// An operand's elements with where they lie; plain or a slice.
struct Buffer {
  std::shared_ptr<std::vector<float>> data;
  int64_t offset, batchStride, tokenStride, headStride;

  static Buffer plain(int64_t batch, int64_t tokens, int64_t heads, int64_t depth) {
    constexpr int64_t guard = 32;
    auto data = std::make_shared<std::vector<float>>(batch * tokens * heads * depth + guard, 77.0f);
    return {data, 0, tokens * heads * depth, heads * depth, depth};
  }
  float *at(int64_t b, int64_t t, int64_t h) const {
    return data->data() + offset + b * batchStride + t * tokenStride + h * headStride;
  }
};

struct Data {
  Case c;
  Buffer q, k, v, out, lse, dout, delta, dq, dk, dv;
  std::vector<double> expectedOut, expectedLse, expectedDq, expectedDk, expectedDv;

  explicit Data(const Case &c) : c(c) {
    auto queryShape = [&] { return Buffer::plain(c.batch, c.queries, c.heads, c.headDim); };
    auto keyShape = [&] { return Buffer::plain(c.batch, c.keys, c.keyHeads, c.headDim); };
    auto rowShape = [&] { return Buffer::plain(c.batch, c.queries, c.heads, 1); };
    q = queryShape(), k = keyShape(), v = keyShape();
    if (c.fused) {
      int64_t token = (c.heads + 2 * c.keyHeads) * c.headDim;
      Buffer all = Buffer::plain(c.batch, c.queries, 1, token);
      all.headStride = c.headDim;
      q = k = v = all;
      k.offset = c.heads * c.headDim;
      v.offset = k.offset + c.keyHeads * c.headDim;
    }
    out = queryShape(), dout = queryShape(), dq = queryShape();
    dk = keyShape(), dv = keyShape(), lse = rowShape(), delta = rowShape();
    std::mt19937 generator(7);
    std::normal_distribution<float> normal;
    for (const Buffer *buffer : {&q, &k, &v, &dout})
      for (float &x : *buffer->data)
        x = normal(generator);
    expect();
  }

  template <typename F> void forEachQuery(F body) const {
    for (int64_t b = 0; b < c.batch; ++b)
      for (int64_t t = 0; t < c.queries; ++t)
        for (int64_t h = 0; h < c.heads; ++h)
          body(b, t, h, h / (c.heads / c.keyHeads), ((b * c.queries + t) * c.heads + h));
  }
  double dot(const float *x, const float *y) const {
    double sum = 0;
    for (int64_t i = 0; i < c.headDim; ++i)
      sum += double(x[i]) * y[i];
    return sum;
  }

  void expect() {
    int64_t D = c.headDim;
    expectedOut.assign(c.batch * c.queries * c.heads * D, 0);
    expectedDq = expectedOut;
    expectedLse.assign(c.batch * c.queries * c.heads, 0);
    expectedDk.assign(c.batch * c.keys * c.keyHeads * D, 0);
    expectedDv = expectedDk;
    forEachQuery([&](int64_t b, int64_t t, int64_t h, int64_t g, int64_t row) {
      int64_t m = c.firstSeen(t), n = c.seen(t);
      std::vector<double> weights(n), slopes(n, 1);
      double largest = -1e300, sum = 0, rowDelta = 0;
      for (int64_t s = m; s < n; ++s) {
        weights[s] = c.scale * dot(q.at(b, t, h), k.at(b, s, g));
        if (c.softCap) {
          slopes[s] = std::pow(std::cosh(weights[s] / c.softCap), -2);
          weights[s] = c.softCap * std::tanh(weights[s] / c.softCap);
        }
        largest = std::max(largest, weights[s]);
      }
      for (int64_t s = m; s < n; ++s)
        sum += weights[s] = std::exp(weights[s] - largest);
      expectedLse[row] = largest + std::log(sum);
      for (int64_t s = m; s < n; ++s)
        for (int64_t i = 0; i < D; ++i)
          expectedOut[row * D + i] += weights[s] / sum * v.at(b, s, g)[i];
      for (int64_t i = 0; i < D; ++i)
        rowDelta += expectedOut[row * D + i] * dout.at(b, t, h)[i];
      // Rounded inputs of the adjoint kernels.
      lse.at(b, t, h)[0] = expectedLse[row];
      delta.at(b, t, h)[0] = rowDelta;
      for (int64_t s = m; s < n; ++s) {
        double weight = weights[s] / sum;
        double ds = weight * slopes[s] * (dot(dout.at(b, t, h), v.at(b, s, g)) - rowDelta);
        int64_t key = (b * c.keys + s) * c.keyHeads + g;
        for (int64_t i = 0; i < D; ++i) {
          expectedDq[row * D + i] += c.scale * ds * k.at(b, s, g)[i];
          expectedDk[key * D + i] += c.scale * ds * q.at(b, t, h)[i];
          expectedDv[key * D + i] += weight * dout.at(b, t, h)[i];
        }
      }
    });
  }
};

/// A compiled kernel whose operands are the buffers given, in order.
struct Kernel {
  mlir::MLIRContext context;
  AttentionPlan plan;
  Case c;
  std::optional<LoadedCode> code;
  KernelFunction function;

  Kernel(const Data &data, AttentionKind kind, const Target &target) : c(data.c) {
    loadCodegenDialects(context);
    mlir::Location loc = mlir::UnknownLoc::get(&context);
    mlir::OwningOpRef<mlir::ModuleOp> module(mlir::ModuleOp::create(loc));
    Emit e(*module, target);
    AttentionDescription d;
    d.batch = c.batch;
    d.queries = c.symbolicMax ? Extent::symbolic(0, c.symbolicMax) : Extent(c.queries);
    d.keys = c.keys;
    d.heads = c.heads;
    d.keyHeads = c.keyHeads;
    d.headDim = c.headDim;
    d.scores = {c.scale, c.causal, c.window, c.softCap};
    plan = planAttention(d, kind, target);
    e.beginKernel("attention", loc);
    unsigned next = 0;
    auto operand = [&](const Buffer &b) -> AttentionOperand {
      return {e.buffer(next++), e.i64(b.offset), e.f32Type(),
              b.batchStride,    b.tokenStride,   b.headStride};
    };
    if (kind == AttentionKind::Forward) {
      AttentionForwardOperands o;
      o.q = operand(data.q), o.k = operand(data.k), o.v = operand(data.v);
      o.out = operand(data.out), o.lse = operand(data.lse);
      if (c.past >= 0)
        o.past.pointer = e.buffer(next++);
      emitAttentionForward(e, d, plan, o);
    } else if (kind == AttentionKind::Dq) {
      AttentionDqOperands o;
      o.q = operand(data.q), o.k = operand(data.k), o.v = operand(data.v);
      o.lse = operand(data.lse), o.delta = operand(data.delta), o.dout = operand(data.dout);
      o.dq = operand(data.dq);
      emitAttentionDq(e, d, plan, o);
    } else {
      AttentionDqkvOperands o;
      o.q = operand(data.q), o.k = operand(data.k), o.v = operand(data.v);
      o.lse = operand(data.lse), o.delta = operand(data.delta), o.dout = operand(data.dout);
      if (kind == AttentionKind::Dqkv)
        o.dq = operand(data.dq);
      o.dk = operand(data.dk), o.dv = operand(data.dv);
      if (kind == AttentionKind::Dqkv)
        emitAttentionDqkv(e, d, plan, o);
      else
        emitAttentionDkDv(e, d, plan, o);
    }
    e.endKernel();
    std::vector<Bytes> objects = {compileObject(*module, target)};
    code.emplace(linkShared(objects));
    function = reinterpret_cast<KernelFunction>(code->find("attention"));
  }

  /// In runs of `step` items, the last ones first; step 0: all at once.
  void run(std::vector<const Buffer *> buffers, int64_t step) {
    std::vector<void *> pointers;
    for (const Buffer *buffer : buffers)
      pointers.push_back(buffer->data->data());
    int32_t past = c.past;
    pointers.push_back(&past);
    int64_t dims[] = {c.queries}, items = 1;
    for (const ItemFactor &f : plan.items)
      items *= f.dim < 0 ? f.mul : (dims[f.dim] * f.mul + f.div - 1) / f.div;
    // Anything may be left in scratch: NaN, and a guard behind it.
    std::unique_ptr<float, decltype(&std::free)> scratch(
        static_cast<float *>(std::aligned_alloc(64, plan.scratchBytes + 64)), &std::free);
    std::fill_n(scratch.get(), plan.scratchBytes / 4 + 16, std::nanf(""));
    std::fill_n(scratch.get() + plan.scratchBytes / 4, 16, 55.0f);
    step = step ? step : items;
    for (int64_t begin = (items - 1) / step * step; begin >= 0; begin -= step)
      function(pointers.data(), dims, begin, std::min(begin + step, items), scratch.get());
    for (int i = 0; i < 16; ++i)
      ASSERT_EQ(scratch.get()[plan.scratchBytes / 4 + i], 55.0f) << "writes behind scratch";
  }
};

void compare(const char *what, const Buffer &actual, const std::vector<double> &expected,
             double tolerance) {
  for (size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR((*actual.data)[i], expected[i], tolerance) << what << "[" << i << "]";
  for (size_t i = expected.size(); i < actual.data->size(); ++i)
    ASSERT_EQ((*actual.data)[i], 77.0f) << what << " writes behind its end";
}

void checkForward(const Case &c, const Target &target) {
  SCOPED_TRACE(nameOf(c, target));
  Data data(c);
  Kernel kernel(data, AttentionKind::Forward, target);
  kernel.run({&data.q, &data.k, &data.v, &data.out, &data.lse}, 0);
  compare("out", data.out, data.expectedOut, 1e-5);
  compare("lse", data.lse, data.expectedLse, 1e-5);
  if (testing::Test::HasFatalFailure())
    return;
  std::vector<float> out = *data.out.data, lse = *data.lse.data;
  std::fill(data.out.data->begin(), data.out.data->end(), 77.0f);
  kernel.run({&data.q, &data.k, &data.v, &data.out, &data.lse}, 1);
  EXPECT_EQ(out, *data.out.data);
  EXPECT_EQ(lse, *data.lse.data);
}

/// What `run` makes of dq, dk and dv in two ways of sharing items out.
void checkAdjoint(Data &data, llvm::function_ref<void(int64_t step)> run) {
  std::vector<float> first[3];
  for (int64_t step : {0, 1}) {
    for (Buffer *buffer : {&data.dq, &data.dk, &data.dv})
      std::fill(buffer->data->begin(), buffer->data->end(), 77.0f);
    run(step);
    if (step == 0) {
      double size = std::sqrt(double(data.c.queries));
      compare("dq", data.dq, data.expectedDq, 1e-5 * size);
      compare("dk", data.dk, data.expectedDk, 1e-5 * size);
      compare("dv", data.dv, data.expectedDv, 1e-5 * size);
      if (testing::Test::HasFatalFailure())
        return;
    }
    std::vector<float> now[3] = {*data.dq.data, *data.dk.data, *data.dv.data};
    for (int i = 0; i < 3; ++i) {
      if (step == 1)
        EXPECT_EQ(first[i], now[i]);
      first[i] = now[i];
    }
  }
}

void checkAdjoints(const Case &c, const Target &target) {
  SCOPED_TRACE(nameOf(c, target));
  Data data(c);
  std::vector<const Buffer *> inputs = {&data.q,   &data.k,     &data.v,
                                        &data.lse, &data.delta, &data.dout};
  auto with = [&](std::initializer_list<const Buffer *> outputs) {
    std::vector<const Buffer *> all = inputs;
    all.insert(all.end(), outputs);
    return all;
  };
  Kernel dq(data, AttentionKind::Dq, target), dkdv(data, AttentionKind::DkDv, target);
  checkAdjoint(data, [&](int64_t step) {
    dq.run(with({&data.dq}), step);
    dkdv.run(with({&data.dk, &data.dv}), step);
  });
  Kernel dqkv(data, AttentionKind::Dqkv, target);
  checkAdjoint(data, [&](int64_t step) { dqkv.run(with({&data.dq, &data.dk, &data.dv}), step); });
}

//   batch, queries, keys, heads, keyHeads, headDim, causal, past, fused, symbolicMax
const Case together[] = {
    {1, 64, 64, 2, 2, 32},
    {2, 37, 37, 2, 2, 16, true, -1, true},
    {1, 1, 1, 3, 1, 8},
    {1, 5, 5, 2, 1, 24, false},
    {2, 131, 131, 2, 2, 64, true, -1, true},
    {1, 300, 300, 2, 1, 10},
    {1, 129, 129, 1, 1, 80, false},
    {1, 1101, 1101, 2, 1, 9, true, -1, true}, // tiles of more than 128 columns
    {1, 257, 257, 4, 2, 40, true, -1, true},
    {1, 150, 150, 1, 1, 128},
    {1, 33, 33, 2, 2, 7, true, -1, false, 200},
};

const Case overCache[] = {
    {1, 1, 64, 4, 4, 64, true, 0},
    {1, 1, 700, 4, 4, 64, true, 520},
    {2, 1, 300, 6, 2, 80, true, 299},
    {1, 1, 40, 8, 1, 24, false, 17},
    {1, 1, 300, 5, 1, 128, true, 255},
    {1, 1, 300, 1, 1, 7, true, 256},
    {1, 1, 300, 2, 1, 16, true, 100, false, 256}, // one query, known at run time
    {1, 3, 20, 2, 1, 16, true, 9, false, 8},
    {2, 45, 200, 4, 2, 64, true, 130, false, 128},
    {1, 45, 200, 2, 2, 40, false, 77},
    {1, 150, 150, 2, 2, 32, true, 0, false, 150},
};

const Case modified[] = {
    Case::windowed({1, 64, 64, 2, 2, 32}, 5),
    Case::windowed({2, 37, 37, 2, 1, 16, true, -1, true}, 1),
    Case::windowed({1, 45, 45, 1, 1, 8}, 45),
    Case::windowed({1, 45, 45, 1, 1, 8}, 100, 0.5),
    Case::windowed({1, 300, 300, 2, 1, 10}, 33),
    Case::windowed({1, 1101, 1101, 2, 1, 9, true, -1, true}, 200, 0.7), // several tiles in a window
    Case::windowed({2, 700, 700, 2, 2, 24}, 699),
    Case::windowed({1, 257, 257, 4, 2, 40, true, -1, true}, 64),
    Case::windowed({1, 33, 33, 2, 2, 7, true, -1, false, 200}, 12, 2),
    Case::windowed({1, 129, 129, 1, 1, 80, false}, 0, 0.9),
};

const Case modifiedOverCache[] = {
    Case::windowed({1, 1, 700, 4, 4, 64, true, 520}, 300),
    Case::windowed({2, 1, 300, 6, 2, 80, true, 299}, 7, 1.5),
    Case::windowed({1, 1, 300, 5, 1, 24, true, 4}, 50), // not full yet
    Case::windowed({1, 1, 300, 1, 1, 7, true, 256}, 1),
    Case::windowed({1, 1, 300, 2, 1, 16, true, 100, false, 256},
                   20), // one query, known at run time
    Case::windowed({2, 45, 200, 4, 2, 64, true, 130, false, 128}, 30, 0.5),
    Case::windowed({1, 150, 400, 2, 2, 32, true, 240}, 190),
    Case::windowed({1, 45, 200, 2, 2, 40, false, 77}, 0, 0.4),
};

/// Every case for this machine, every third one for older ones.
void forEachCase(std::span<const Case> cases, void (*check)(const Case &, const Target &)) {
  std::vector<Target> all = targets();
  for (size_t machine = 0; machine < all.size(); ++machine)
    for (size_t i = 0; i < cases.size(); ++i)
      if (machine == 0 || i % 3 == machine)
        check(cases[i], all[machine]);
}

TEST(AttentionTest, Forward) { forEachCase(together, checkForward); }

TEST(AttentionTest, ForwardOverACache) { forEachCase(overCache, checkForward); }

TEST(AttentionTest, Adjoints) { forEachCase(std::span(together).subspan(3), checkAdjoints); }

TEST(AttentionTest, WindowsAndSoftCaps) { forEachCase(modified, checkForward); }

TEST(AttentionTest, WindowsAndSoftCapsOverACache) { forEachCase(modifiedOverCache, checkForward); }

TEST(AttentionTest, AdjointsOfWindowsAndSoftCaps) { forEachCase(modified, checkAdjoints); }

// Tiles outside of the window are not read at all: not even NaN there counts.
TEST(AttentionTest, AWindowIsABoundOfLoops) {
  Case c = Case::windowed({1, 1000, 1000, 1, 1, 16}, 20);
  auto spoil = [&](const Buffer &buffer, int64_t begin, int64_t end) {
    std::fill(buffer.at(0, begin, 0), buffer.at(0, end, 0), std::nanf(""));
  };
  Data data(c);
  spoil(data.k, 0, 400);
  spoil(data.v, 0, 400);
  Kernel kernel(data, AttentionKind::Forward, Target::host());
  kernel.run({&data.q, &data.k, &data.v, &data.out, &data.lse}, 0);
  for (int64_t t = 600; t < 1000; ++t)
    EXPECT_NEAR(data.lse.at(0, t, 0)[0], data.expectedLse[t], 1e-5);
  Data back(c);
  spoil(back.q, 600, 1000);
  spoil(back.dout, 600, 1000);
  Kernel dkdv(back, AttentionKind::DkDv, Target::host());
  dkdv.run({&back.q, &back.k, &back.v, &back.lse, &back.delta, &back.dout, &back.dk, &back.dv}, 0);
  for (int64_t i = 0; i < 300 * 16; ++i)
    EXPECT_NEAR(back.dv.at(0, 0, 0)[i], back.expectedDv[i], 1e-4);
}

// exp of these scores overflows without the running maximum.
TEST(AttentionTest, LargeScores) {
  Case c{1, 200, 200, 1, 1, 16, true};
  c.scale = 40;
  SCOPED_TRACE("large");
  Data data(c);
  Kernel kernel(data, AttentionKind::Forward, Target::host());
  kernel.run({&data.q, &data.k, &data.v, &data.out, &data.lse}, 0);
  // Scores of up to 1000 have an error of some 1e-4, which the weights inherit.
  compare("out", data.out, data.expectedOut, 2e-3);
}

} // namespace
