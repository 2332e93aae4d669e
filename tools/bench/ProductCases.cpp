// Matrix products of the shapes that models need, in the three layouts of a training step: forward
// (x W), input gradient (dy W^T) and weight gradient (x^T dy).
#include "tools/bench/Blas.h"
#include "tools/bench/Case.h"
#include "tools/bench/Graph.h"
#include "tools/bench/Torch.h"

#include "runtime/Error.h"
#include "runtime/Philox.h"

#include <cmath>

namespace lmc::bench {
namespace {

class Product : public Workload {
public:
  /// `packed`: b is a weight, packed ahead. `bf16`: operands and result.
  Product(ProductShape s, bool packed, bool bf16, const Machine &on)
      : s(s), packed(packed), bf16(bf16),
        graph(
            {{"a", s.transposeA ? Dims{s.k, s.m} : Dims{s.m, s.k}, 0, false, bf16},
             {"b", s.transposeB ? Dims{s.n, s.k} : Dims{s.k, s.n}, 0, packed, bf16}},
            [s, bf16](lm::GraphBuilder &g, llvm::ArrayRef<mlir::Value> in) {
              mlir::Value y = g.matmul(in[0], in[1], s.transposeA, s.transposeB);
              return std::vector<mlir::Value>{bf16 ? g.convert(y, g.b.getBF16Type()) : y};
            },
            on) {
    flops = 2.0 * s.m * s.n * s.k;
    bytes = (bf16 ? 2.0 : 4.0) * (s.m * s.k + s.k * s.n + s.m * s.n);
  }

  void run() override { graph.run(); }
  double time() override { return graph.time(); }
  Session *session() override { return &graph.runtime(); }

  /// Freivalds 1977: y v = a (b v) for a random vector v of signs finds any wrong element, at the
  /// cost of three matrix-vector products, in float64.
  std::string check() override {
    run();
    std::span<const float> a = graph.f32("a"), b = graph.f32("b"), y = graph.f32("y0");
    Philox random(7, 0);
    std::vector<double> v(s.n), bv(s.k);
    for (int64_t j = 0; j < s.n; ++j)
      v[j] = random.below(j, 2) ? 1 : -1;
    for (int64_t k = 0; k < s.k; ++k)
      for (int64_t j = 0; j < s.n; ++j)
        bv[k] += b[s.transposeB ? j * s.k + k : k * s.n + j] * v[j];
    // Each of the n elements of a row is a sum of k products below 1, rounded in float32; a bf16
    // result, of a size near sqrt(k) / 3, is off by up to 2^-9 of that.
    double tolerance = (bf16 ? 0x1p-9 : 1e-6 * 4) * std::sqrt(double(s.n) * double(s.k));
    for (int64_t i = 0; i < s.m; ++i) {
      double expected = 0, got = 0;
      for (int64_t k = 0; k < s.k; ++k)
        expected += a[s.transposeA ? k * s.m + i : i * s.k + k] * bv[k];
      for (int64_t j = 0; j < s.n; ++j)
        got += y[i * s.n + j] * v[j];
      if (!(std::abs(got - expected) <= tolerance))
        fail("row {}: signed sum {}, float64 gives {} (tolerance {})", i, got, expected, tolerance);
    }
    return "Freivalds in float64";
  }

  std::vector<Peer> peers(const PeerOptions &options) override {
    if (!options.machine.gpu.empty())
      return torchPeers(options, {"product",
                                  {{"m", s.m},
                                   {"n", s.n},
                                   {"k", s.k},
                                   {"transpose_a", s.transposeA},
                                   {"transpose_b", s.transposeB},
                                   {"bf16", bf16}}});
    std::vector<Peer> result;
    for (const std::string &name : options.names)
      if (auto sgemm = packed && name == "onednn"
                           ? findPackedSgemm(s, graph.f32("b").data(), options.machine.threads)
                           : findSgemm(name, options.machine.threads)) {
        theirs.resize(s.m * s.n);
        result.push_back({name, [this, sgemm] {
                            return secondsOf([&] {
                              sgemm(s, graph.f32("a").data(), graph.f32("b").data(), theirs.data());
                            });
                          }});
      }
    return result;
  }

private:
  using Dims = std::vector<int64_t>;
  ProductShape s;
  bool packed, bf16;
  Graph graph;
  std::vector<float> theirs;
};

} // namespace

/// Large products, then those of a step of GPT-2 124M with 16 x 1024 tokens, and few rows as in
/// decoding; in the layouts of a training step.
static void addGpuProducts(std::vector<Case> &cases, const Machine &on) {
  auto add = [&](int64_t m, int64_t n, int64_t k, bool transposeA, bool transposeB, bool bf16) {
    std::string layout = {transposeA ? 't' : 'n', transposeB ? 't' : 'n'};
    ProductShape shape{m, n, k, transposeA, transposeB};
    cases.push_back({fmt::format("product.{}.{}x{}x{}{}", layout, m, n, k, bf16 ? ".bf16" : ""),
                     fmt::format("M={} N={} K={}", m, n, k),
                     m < 64 ? Bound::Memory : Bound::Compute,
                     [=] { return std::make_unique<Product>(shape, false, bf16, on); }});
  };
  for (auto [m, n, k] : std::vector<std::array<int64_t, 3>>{
           {4096, 4096, 4096}, {8192, 8192, 8192}, {16384, 3072, 768}, {16384, 768, 3072}}) {
    add(m, n, k, false, false, true);
    add(m, k, n, false, true, true); // dy [m, n] w^T
    add(k, n, m, true, false, true); // x^T dy
  }
  for (int64_t m : {1, 4, 16})
    add(m, 8192, 8192, false, true, true);
  add(2048, 2048, 2048, false, false, false);
  for (bool bf16 : {true, false})
    add(127, 1000, 333, false, true, bf16);
}

void addProducts(std::vector<Case> &cases, const Machine &on) {
  if (!on.gpu.empty())
    return addGpuProducts(cases, on);
  auto add = [&](int64_t m, int64_t n, int64_t k, bool transposeA, bool transposeB,
                 bool packed = false) {
    std::string layout = {transposeA ? 't' : 'n', packed ? 'p' : transposeB ? 't' : 'n'};
    ProductShape shape{m, n, k, transposeA, transposeB};
    cases.push_back({fmt::format("product.{}.{}x{}x{}", layout, m, n, k),
                     fmt::format("M={} N={} K={}{}", m, n, k, packed ? " packed ahead" : ""),
                     m < 16 ? Bound::Memory : Bound::Compute,
                     [=] { return std::make_unique<Product>(shape, packed, false, on); }});
  };
  for (auto [m, n, k] : std::vector<std::array<int64_t, 3>>{{1024, 1024, 1024},
                                                            {512, 768, 3072},
                                                            {512, 3072, 768},
                                                            {1024, 768, 2304},
                                                            {256, 768, 50304},
                                                            {127, 1000, 333}}) {
    add(m, n, k, false, false);
    add(m, k, n, false, true); // dy [m, n] w^T
    add(k, n, m, true, false); // x^T dy
  }
  for (bool packed : {false, true})
    for (int64_t m : {1, 4, 16, 32})
      add(m, 4096, 4096, false, false, packed);
  for (int64_t m : {128, 512}) // prefill of a packed weight
    add(m, 3072, 768, false, false, true);
}

} // namespace lmc::bench
