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
};

/// Causal attention; with its three gradients where `backward`.
class Attention : public Workload {
public:
  Attention(AttentionShape s, bool backward, int threads)
      : s(s), backward(backward),
        graph(
            arguments(s, backward),
            [s, backward](G &g, In in) {
              auto scale = g.b.getF64FloatAttr(1 / std::sqrt(double(s.d)));
              auto causal = g.b.getUnitAttr();
              auto y = g.b.create<lm::AttentionOp>(g.loc, in[0], in[1], in[2], mlir::Value(), scale,
                                                   causal);
              if (!backward)
                return Values{y.getOut()};
              auto d = g.b.create<lm::AttentionGradOp>(g.loc, in[0], in[1], in[2], y.getOut(),
                                                       y.getLse(), in[3], scale, causal);
              return Values{y.getOut(), d.getDq(), d.getDk(), d.getDv()};
            },
            threads) {
    // Two products forward, five backward, half of each under the causal mask.
    flops = (backward ? 7 : 2) * double(s.b * s.h * s.d) * double(s.t) * double(s.t + 1);
    bytes = 4.0 * double(s.b * s.t * s.d * (2 * s.h + 2 * s.g)) * (backward ? 2 : 1);
    arenaBytes = double(graph.runtime().arenaBytes());
  }

  void run() override { graph.run(); }
  Session &session() override { return graph.runtime(); }

  /// The last head of the last sequence in float64: some rows of out and dq, some of dk and dv.
  std::string check() override {
    run();
    int64_t b = s.b - 1, h = s.h - 1, group = s.g - 1, heads = s.h / s.g;
    auto at = [&](const char *name, int64_t t, int64_t head, int64_t of, int64_t d) {
      return double(graph.f32(name)[((b * s.t + t) * of + head) * s.d + d]);
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
          row.p[i] += at("q", t, head, s.h, d) * at("k", i, group, s.g, d);
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
          row.ds[i] += at("dout", t, head, s.h, d) * at("v", i, group, s.g, d);
        delta += row.p[i] * row.ds[i];
      }
      for (int64_t i = 0; i <= t; ++i)
        row.ds[i] = row.p[i] * (row.ds[i] - delta);
      return row;
    };
    for (int64_t t : rows) {
      Row row = rowOf(t, h);
      for (int64_t d = 0; d < s.d; ++d) {
        double out = 0, dq = 0;
        for (int64_t i = 0; i <= t; ++i) {
          out += row.p[i] * at("v", i, group, s.g, d);
          dq += scale * row.ds[i] * at("k", i, group, s.g, d);
        }
        expect("out", t, d, at("y0", t, h, s.h, d), out);
        if (backward)
          expect("dq", t, d, at("y1", t, h, s.h, d), dq);
      }
    }
    if (!backward)
      return "4 rows of a head in float64";
    // Keys are read by all later queries of all heads of the group.
    std::vector<std::vector<double>> dk(rows.size(), std::vector<double>(s.d)), dv = dk;
    for (int64_t head = group * heads; head < s.h; ++head)
      for (int64_t t = 0; t < s.t; ++t) {
        Row row = rowOf(t, head);
        for (size_t r = 0; r < rows.size(); ++r)
          for (int64_t d = 0; d < s.d && rows[r] <= t; ++d) {
            dk[r][d] += scale * row.ds[rows[r]] * at("q", t, head, s.h, d);
            dv[r][d] += row.p[rows[r]] * at("dout", t, head, s.h, d);
          }
      }
    for (size_t r = 0; r < rows.size(); ++r)
      for (int64_t d = 0; d < s.d; ++d) {
        expect("dk", rows[r], d, at("y2", rows[r], group, s.g, d), dk[r][d]);
        expect("dv", rows[r], d, at("y3", rows[r], group, s.g, d), dv[r][d]);
      }
    return "4 rows and 4 keys of a head in float64";
  }

  std::vector<Peer> peers(const PeerOptions &options) override {
    if (s.g != s.h) // PyTorch has no grouped heads on the CPU
      return {};
    return torchPeers(
        options,
        {"attention", {{"b", s.b}, {"t", s.t}, {"h", s.h}, {"d", s.d}, {"backward", backward}}});
  }

private:
  static std::vector<Argument> arguments(AttentionShape s, bool backward) {
    std::vector<Argument> result = {
        {"q", {s.b, s.t, s.h, s.d}}, {"k", {s.b, s.t, s.g, s.d}}, {"v", {s.b, s.t, s.g, s.d}}};
    if (backward)
      result.push_back({"dout", {s.b, s.t, s.h, s.d}});
    return result;
  }
  static void expect(const char *what, int64_t t, int64_t d, double got, double expected) {
    if (!(std::abs(got - expected) <= 2e-5 * std::max(1.0, std::abs(expected))))
      fail("{} of token {}, feature {}: got {}, float64 gives {}", what, t, d, got, expected);
  }

  AttentionShape s;
  bool backward;
  Graph graph;
};

/// A graph whose whole result the evaluator checks.
class Elements : public Workload {
public:
  Elements(const std::vector<Argument> &arguments, const BuildGraph &build, double results,
           int threads)
      : graph(arguments, build, threads) {
    for (const Argument &argument : arguments) {
      int64_t count = 1;
      for (int64_t extent : argument.shape)
        count *= extent;
      bytes += 4.0 * double(count);
    }
    bytes += 4 * results;
  }
  void run() override { graph.run(); }
  Session &session() override { return graph.runtime(); }
  std::string check() override {
    graph.checkAll();
    return "every element in float64";
  }

private:
  Graph graph;
};

} // namespace

void addKernels(std::vector<Case> &cases) {
  auto attention = [&](AttentionShape s, bool backward) {
    cases.push_back(
        {fmt::format("attention.{}.t{}", backward ? "train" : "forward", s.t),
         fmt::format("B={} T={} H={} G={} D={}", s.b, s.t, s.h, s.g, s.d), Bound::Compute,
         [=](int threads) { return std::make_unique<Attention>(s, backward, threads); }});
  };
  for (bool backward : {false, true}) {
    attention({4, 64, 12, 12, 64}, backward);
    attention({4, 256, 12, 12, 64}, backward);
    attention({1, 1024, 32, 8, 64}, backward);
    attention({1, 4096, 12, 12, 64}, backward);
  }

  auto elements = [&](const char *name, std::vector<Argument> arguments, double results,
                      BuildGraph build) {
    std::string shape;
    for (const Argument &argument : arguments) {
      shape += shape.empty() ? "[" : " [";
      for (size_t i = 0; i < argument.shape.size(); ++i)
        shape += (i ? "," : "") + std::to_string(argument.shape[i]);
      shape += "]";
    }
    cases.push_back({name, shape, Bound::Memory, [=](int threads) {
                       return std::make_unique<Elements>(arguments, build, results, threads);
                     }});
  };
  constexpr int64_t rows = 8192, width = 768, wide = 3072;
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
  elements("row.cross_entropy", {{"x", {256, 50304}}, {"ids", {256}, 50304}}, 256,
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
}

} // namespace lmc::bench
