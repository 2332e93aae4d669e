// Attention, and the kernels that are bound by memory: rows, maps, column sums.
#include "tools/bench/Case.h"
#include "tools/bench/Graph.h"
#include "tools/bench/Torch.h"

#include "ir/Dialect.h"
#include "runtime/Error.h"

#include <cmath>

namespace lmc::bench {
namespace {

using G = lm::GraphBuilder;
using In = llvm::ArrayRef<mlir::Value>;
using Values = std::vector<mlir::Value>;

struct AttentionShape {
  int64_t b, t, h, g, d;
  bool bf16 = false;
};

/// Causal attention; with its three gradients where `backward`.
class Attention : public Workload {
public:
  Attention(AttentionShape s, bool backward, const Machine &on)
      : s(s), backward(backward),
        graph(
            arguments(s, backward),
            [s, backward](G &g, In in) {
              lm::AttentionScores scores{1 / std::sqrt(double(s.d)), true};
              auto y =
                  g.b.create<lm::AttentionOp>(g.loc, mlir::ValueRange{in[0], in[1], in[2]}, scores);
              if (!backward)
                return Values{y.getOut()};
              auto d = g.b.create<lm::AttentionGradOp>(
                  g.loc, mlir::ValueRange{in[0], in[1], in[2], y.getOut(), y.getLse(), in[3]},
                  scores);
              return Values{y.getOut(), d.getDq(), d.getDk(), d.getDv()};
            },
            on) {
    // Two products forward, five backward, half of each under the causal mask.
    flops = (backward ? 7 : 2) * double(s.b * s.h * s.d) * double(s.t) * double(s.t + 1);
    bytes =
        (s.bf16 ? 2.0 : 4.0) * double(s.b * s.t * s.d * (2 * s.h + 2 * s.g)) * (backward ? 2 : 1);
    arenaBytes = double(graph.runtime().arenaBytes());
  }

  void run() override { graph.run(); }
  double time() override { return graph.time(); }
  Session *session() override { return &graph.runtime(); }

  /// The last head of the last sequence in float64: some rows of out and dq, some of dk and dv.
  std::string check() override {
    run();
    int64_t b = s.b - 1, h = s.h - 1, group = s.g - 1, heads = s.h / s.g;
    using Tensor = std::span<const float>; // looked up once: the loops below are long
    Tensor q = graph.f32("q"), k = graph.f32("k"), v = graph.f32("v"), y0 = graph.f32("y0");
    Tensor dout, y1, y2, y3;
    if (backward)
      dout = graph.f32("dout"), y1 = graph.f32("y1"), y2 = graph.f32("y2"), y3 = graph.f32("y3");
    auto at = [&](Tensor tensor, int64_t t, int64_t head, int64_t of, int64_t d) {
      return double(tensor[((b * s.t + t) * of + head) * s.d + d]);
    };
    double scale = 1 / std::sqrt(double(s.d));
    std::vector<int64_t> rows;
    for (int64_t t : {int64_t(0), s.t / 3, s.t / 2 + 1, s.t - 1})
      rows.push_back(t);
    // P, and dS where there are gradients, of one query row of head `head`.
    struct Row {
      std::vector<double> p, ds;
    };
    auto rowOf = [&](int64_t t, int64_t head) {
      Row row{std::vector<double>(t + 1), std::vector<double>(t + 1)};
      double total = 0, largest = -INFINITY, delta = 0;
      for (int64_t i = 0; i <= t; ++i) {
        for (int64_t d = 0; d < s.d; ++d)
          row.p[i] += at(q, t, head, s.h, d) * at(k, i, group, s.g, d);
        row.p[i] *= scale;
        largest = std::max(largest, row.p[i]);
      }
      for (double &p : row.p)
        total += p = std::exp(p - largest);
      for (double &p : row.p)
        p /= total;
      if (!backward)
        return row;
      for (int64_t i = 0; i <= t; ++i) {
        for (int64_t d = 0; d < s.d; ++d)
          row.ds[i] += at(dout, t, head, s.h, d) * at(v, i, group, s.g, d);
        delta += row.p[i] * row.ds[i];
      }
      for (int64_t i = 0; i <= t; ++i)
        row.ds[i] = row.p[i] * (row.ds[i] - delta);
      return row;
    };
    for (int64_t t : rows) {
      Row row = rowOf(t, h);
      std::vector<double> out(s.d), dq(s.d);
      for (int64_t i = 0; i <= t; ++i)
        for (int64_t d = 0; d < s.d; ++d) {
          out[d] += row.p[i] * at(v, i, group, s.g, d);
          dq[d] += scale * row.ds[i] * at(k, i, group, s.g, d);
        }
      expect("out", t, out, [&](int64_t d) { return at(y0, t, h, s.h, d); });
      if (backward)
        expect("dq", t, dq, [&](int64_t d) { return at(y1, t, h, s.h, d); });
    }
    if (!backward)
      return "4 rows of a head in float64";
    // Keys are read by all later queries of all heads of the group: of a long sequence the last
    // ones, else the check takes minutes.
    std::vector<int64_t> keys = rows;
    if (s.t > 4096)
      keys = {s.t - 300, s.t - 129, s.t - 64, s.t - 1};
    std::vector<std::vector<double>> dk(keys.size(), std::vector<double>(s.d)), dv = dk;
    for (int64_t head = group * heads; head < s.h; ++head)
      for (int64_t t = keys.front(); t < s.t; ++t) {
        Row row = rowOf(t, head);
        for (size_t r = 0; r < keys.size(); ++r)
          for (int64_t d = 0; d < s.d && keys[r] <= t; ++d) {
            dk[r][d] += scale * row.ds[keys[r]] * at(q, t, head, s.h, d);
            dv[r][d] += row.p[keys[r]] * at(dout, t, head, s.h, d);
          }
      }
    for (size_t r = 0; r < keys.size(); ++r) {
      expect("dk", keys[r], dk[r], [&](int64_t d) { return at(y2, keys[r], group, s.g, d); });
      expect("dv", keys[r], dv[r], [&](int64_t d) { return at(y3, keys[r], group, s.g, d); });
    }
    return "4 rows and 4 keys of a head in float64";
  }

  std::vector<Peer> peers(const PeerOptions &options) override {
    if (s.g != s.h && options.machine.gpu.empty()) // PyTorch has no grouped heads on the CPU
      return {};
    return torchPeers(options, {"attention",
                                {{"b", s.b},
                                 {"t", s.t},
                                 {"h", s.h},
                                 {"g", s.g},
                                 {"d", s.d},
                                 {"backward", backward},
                                 {"bf16", s.bf16}}});
  }

private:
  static std::vector<Argument> arguments(AttentionShape s, bool backward) {
    std::vector<Argument> result = {
        {"q", {s.b, s.t, s.h, s.d}}, {"k", {s.b, s.t, s.g, s.d}}, {"v", {s.b, s.t, s.g, s.d}}};
    if (backward)
      result.push_back({"dout", {s.b, s.t, s.h, s.d}});
    for (Argument &argument : result)
      argument.bf16 = s.bf16;
    return result;
  }
  /// The features of one token. Means over many keys are small: what bf16 rounds is small against
  /// the largest of them.
  template <typename Got>
  void expect(const char *what, int64_t t, const std::vector<double> &expected, Got got) const {
    double largest = 1e-2;
    for (double value : expected)
      largest = std::max(largest, std::abs(value));
    for (int64_t d = 0; d < s.d; ++d) {
      double tolerance = s.bf16 ? 2e-2 * largest : 2e-5 * std::max(1.0, std::abs(expected[d]));
      if (!(std::abs(got(d) - expected[d]) <= tolerance))
        fail("{} of token {}, feature {}: got {}, float64 gives {}", what, t, d, got(d),
             expected[d]);
    }
  }

  AttentionShape s;
  bool backward;
  Graph graph;
};

/// One query behind a cache of `t` tokens that is full.
class CachedAttention : public Workload {
public:
  CachedAttention(AttentionShape s, const Machine &on)
      : s(s), graph(
                  {{"q", {s.b, 1, s.h, s.d}, 0, false, s.bf16},
                   {"k", {s.b, s.t, s.g, s.d}, 0, false, s.bf16},
                   {"v", {s.b, s.t, s.g, s.d}, 0, false, s.bf16},
                   {"past", {}, s.t}},
                  [s](G &g, In in) {
                    lm::AttentionScores scores{1 / std::sqrt(double(s.d)), true};
                    return Values{g.b.create<lm::AttentionOp>(g.loc, in, scores).getOut()};
                  },
                  on) {
    flops = 4 * double(s.b * s.h * s.d) * double(s.t);
    bytes = (s.bf16 ? 2.0 : 4.0) * 2 * double(s.b * s.t * s.g * s.d);
    arenaBytes = double(graph.runtime().arenaBytes());
    graph.runtime().i32("past")[0] = static_cast<int32_t>(s.t - 1);
  }

  void run() override { graph.run(); }
  double time() override { return graph.time(); }
  Session *session() override { return &graph.runtime(); }
  std::string check() override {
    graph.checkAll(s.bf16 ? 2e-2 : 1e-5);
    return "every element in float64";
  }

private:
  AttentionShape s;
  Graph graph;
};

/// A graph whose whole result the evaluator checks.
class Elements : public Workload {
public:
  Elements(const std::vector<Argument> &arguments, const BuildGraph &build, double results,
           const Machine &on)
      : graph(arguments, build, on) {
    for (const Argument &argument : arguments) {
      int64_t count = 1;
      for (int64_t extent : argument.shape)
        count *= extent;
      bytes += 4.0 * double(count);
    }
    bytes += 4 * results;
  }
  void run() override { graph.run(); }
  double time() override { return graph.time(); }
  Session *session() override { return &graph.runtime(); }
  std::string check() override {
    graph.checkAll();
    return "every element in float64";
  }

private:
  Graph graph;
};

} // namespace

void addKernels(std::vector<Case> &cases, const Machine &on) {
  auto attention = [&](AttentionShape s, bool backward) {
    cases.push_back(
        {fmt::format("attention.{}.{}t{}{}", backward ? "train" : "forward",
                     on.gpu.empty() ? "" : fmt::format("d{}", s.d), s.t, s.bf16 ? ".bf16" : ""),
         fmt::format("B={} T={} H={} G={} D={}", s.b, s.t, s.h, s.g, s.d), Bound::Compute,
         [=] { return std::make_unique<Attention>(s, backward, on); }});
  };
  for (bool backward : {false, true}) {
    if (!on.gpu.empty()) {
      // 16384 tokens and a width of 2048, as in the figures of FlashAttention.
      for (int64_t d : {64, 128})
        for (int64_t t : {1024, 4096, 16384})
          attention({16384 / t, t, 2048 / d, 2048 / d, d, true}, backward);
      attention({2, 139, 4, 2, 64, true}, backward);
      attention({2, 139, 4, 2, 64}, backward);
      continue;
    }
    attention({4, 64, 12, 12, 64}, backward);
    attention({4, 256, 12, 12, 64}, backward);
    attention({1, 1024, 32, 8, 64}, backward);
    attention({1, 4096, 12, 12, 64}, backward);
  }

  // What a decoded token reads of a long context, heads as Llama 3 8B and Llama 3.2 1B have them.
  for (AttentionShape s : {AttentionShape{1, 16384, 32, 8, 128, true}, {1, 16384, 32, 8, 64, true}})
    cases.push_back({fmt::format("attention.decode.d{}.s{}.bf16", s.d, s.t),
                     fmt::format("B={} S={} H={} G={} D={}", s.b, s.t, s.h, s.g, s.d),
                     Bound::Memory, [=] { return std::make_unique<CachedAttention>(s, on); }});

  auto elements = [&](const char *name, std::vector<Argument> arguments, double results,
                      BuildGraph build) {
    std::string shape;
    for (const Argument &argument : arguments) {
      shape += shape.empty() ? "[" : " [";
      for (size_t i = 0; i < argument.shape.size(); ++i)
        shape += (i ? "," : "") + std::to_string(argument.shape[i]);
      shape += "]";
    }
    cases.push_back({name, shape, Bound::Memory,
                     [=] { return std::make_unique<Elements>(arguments, build, results, on); }});
  };
  // On a GPU more than its cache holds, and not so much that the check in float64 takes long.
  const int64_t rows = on.gpu.empty() ? 8192 : 16384, width = on.gpu.empty() ? 768 : 3072;
  constexpr int64_t wide = 3072;
  auto eps = [](G &g) { return g.b.getF64FloatAttr(1e-5); };
  elements("row.layer_norm", {{"x", {rows, width}}, {"w", {width}}, {"b", {width}}}, rows * width,
           [=](G &g, In in) {
             return Values{g.b.create<lm::LayerNormOp>(g.loc, in[0], in[1], in[2], eps(g))};
           });
  elements("row.rms_norm", {{"x", {rows, width}}, {"w", {width}}}, rows * width, [=](G &g, In in) {
    return Values{g.b.create<lm::RmsNormOp>(g.loc, in[0], in[1], eps(g))};
  });
  elements("row.softmax", {{"x", {rows, 1024}}}, rows * 1024,
           [](G &g, In in) { return Values{g.b.create<lm::SoftmaxOp>(g.loc, in[0])}; });
  elements("row.cross_entropy", {{"x", {rows / 32, 50304}}, {"ids", {rows / 32}, 50304}}, rows / 32,
           [](G &g, In in) { return Values{g.b.create<lm::CrossEntropyOp>(g.loc, in[0], in[1])}; });
  elements("map.add", {{"x", {rows, wide}}, {"y", {rows, wide}}}, rows * wide,
           [](G &g, In in) { return Values{g.add(in[0], in[1])}; });
  elements("map.gelu_tanh", {{"x", {rows, wide}}}, rows * wide,
           [](G &g, In in) { return Values{g.b.create<lm::GeluOp>(g.loc, in[0], true)}; });
  elements("map.swiglu", {{"gate", {rows, wide}}, {"up", {rows, wide}}}, rows * wide,
           [](G &g, In in) { return Values{g.b.create<lm::SwigluOp>(g.loc, in[0], in[1])}; });
  elements("map.transpose", {{"x", {4096, wide}}}, 4096 * wide,
           [](G &g, In in) { return Values{g.transpose(in[0], {1, 0})}; });
  elements("column.sum", {{"x", {rows, wide}}}, wide,
           [](G &g, In in) { return Values{g.sum(in[0], {0})}; });
  // Windows: the short convolution of state space models with its activation, and of images a pool.
  using Numbers = llvm::ArrayRef<int64_t>;
  auto causal = [=](G &g, In in) {
    return g.b.create<lm::ConvolutionOp>(g.loc, in[0], in[1], Numbers{}, Numbers{}, Numbers{3},
                                         Numbers{}, width);
  };
  std::vector<Argument> sequences = {{"x", {4, rows / 4, width}}, {"w", {4, 1, width}}};
  elements("map.causal_convolution", sequences, rows * width,
           [=](G &g, In in) { return Values{g.b.create<lm::SiluOp>(g.loc, causal(g, in))}; });
  sequences.push_back({"dy", {4, rows / 4, width}});
  elements("column.causal_convolution_grad", sequences, (rows + 4) * width, [=](G &g, In in) {
    llvm::SmallVector<mlir::Value> d(2);
    if (failed(causal(g, in).adjoint(g, in[2], d)))
      fail("a convolution has an adjoint");
    return Values{d[0], d[1]};
  });
  elements("map.max_pool", {{"x", {8, 112, 112, 64}}}, 8 * 56 * 56 * 64, [](G &g, In in) {
    return Values{g.b.create<lm::MaxPoolOp>(g.loc, in[0], Numbers{3, 3}, Numbers{2, 2}, Numbers{},
                                            Numbers{1, 1}, Numbers{1, 1})};
  });
}

} // namespace lmc::bench
