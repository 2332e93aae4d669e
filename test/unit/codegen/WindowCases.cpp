// Cases of windows: convolutions and pools, fused with what is around them, and skews along lanes.
#include "test/unit/codegen/FamilyCases.h"

namespace lmc::test {

using namespace mlir;

namespace {

using Numbers = ArrayRef<int64_t>;

Value convolution(G &g, Value x, Value w, Numbers strides, Numbers dilations, Numbers low,
                  Numbers high, int64_t groups = 1) {
  return g.b.create<lm::ConvolutionOp>(g.loc, x, w, strides, dilations, low, high, groups);
}
template <typename Pool>
Value pool(G &g, Value x, Numbers size, Numbers strides, Numbers dilations, Numbers low,
           Numbers high) {
  return g.b.create<Pool>(g.loc, x, size, strides, dilations, low, high);
}
Value silu(G &g, Value x) { return g.b.create<lm::SiluOp>(g.loc, x); }

Value skew(G &g, Value x, int64_t dim, int64_t by, int64_t extent, int64_t step, int64_t slope,
           int64_t start, int64_t every, const char *outside = "zero") {
  lm::Shape shape = lm::shapeOf(x);
  shape[dim] = extent;
  return g.b.create<lm::SkewOp>(g.loc, lm::tensorType(shape, lm::elementOf(x)), x, dim, by, step,
                                slope, start, every, outside);
}

} // namespace

void addWindows(std::vector<FamilyCase> &cases) {
  // Mamba's short convolution: what is in front of it, its bias and its activation are one kernel.
  cases.push_back({"window.causal",
                   {"f32[2,T,37]", "f32[4,1,37]", "f32[37]"},
                   [](G &g, In a) {
                     Value x = g.mul(a[0], 1.5);
                     return Values{
                         silu(g, g.add(convolution(g, x, a[1], {}, {}, {3}, {}, 37), a[2]))};
                   },
                   {{"T", {1, 40}}},
                   {{{"T", 40}}, {{"T", 1}}, {{"T", 3}}}});
  cases.push_back({"window.causal_static",
                   {"f32[3,11,37]", "f32[4,1,37]", "f32[37]"},
                   [](G &g, In a) {
                     return Values{
                         silu(g, g.add(convolution(g, a[0], a[1], {}, {}, {3}, {}, 37), a[2]))};
                   },
                   {},
                   {{}},
                   true});
  // More taps than are written out; a row of windows, then a square of them.
  cases.push_back(
      {"window.many_taps",
       {"f32[2,40,19]", "f32[31,1,19]"},
       [](G &g, In a) { return Values{convolution(g, a[0], a[1], {2}, {2}, {30}, {31}, 19)}; },
       {},
       {{}},
       true});
  cases.push_back({"window.square",
                   {"f32[2,9,11,21]", "f32[7,5,1,21]"},
                   [](G &g, In a) {
                     return Values{
                         convolution(g, g.tanh(a[0]), a[1], {2, 1}, {1, 2}, {3, 4}, {3, 1}, 21)};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"window.dense",
                   {"f32[2,13,5]", "f32[3,5,35]", "f32[35]"},
                   [](G &g, In a) {
                     Value y = g.add(convolution(g, a[0], a[1], {2}, {}, {1}, {1}), a[2]);
                     return Values{g.b.create<lm::GeluOp>(g.loc, y, false)};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"window.dense_symbolic",
                   {"f32[B,T,5]", "f32[3,5,35]"},
                   [](G &g, In a) { return Values{convolution(g, a[0], a[1], {}, {2}, {2}, {2})}; },
                   {{"B", {1, 3}}, {"T", {1, 21}}},
                   {{{"B", 3}, {"T", 21}}, {{"B", 2}, {"T", 1}}, {{"B", 1}, {"T", 2}}}});
  cases.push_back(
      {"window.patches",
       {"f32[2,12,9,3]", "f32[4,3,3,17]"},
       [](G &g, In a) { return Values{convolution(g, a[0], a[1], {4, 3}, {}, {}, {})}; },
       {},
       {{}},
       true});
  cases.push_back(
      {"window.groups",
       {"f32[2,9,12]", "f32[5,4,21]"},
       [](G &g, In a) { return Values{g.tanh(convolution(g, a[0], a[1], {}, {}, {2}, {2}, 3))}; },
       {},
       {{}},
       true});
  cases.push_back(
      {"window.groups_symbolic",
       {"f32[1,T,12]", "f32[5,4,21]"},
       [](G &g, In a) { return Values{convolution(g, a[0], a[1], {}, {}, {4}, {}, 3)}; },
       {{"T", {1, 21}}},
       {{{"T", 21}}, {{"T", 2}}}});
  cases.push_back({"window.max",
                   {"f32[2,9,11,21]"},
                   [](G &g, In a) {
                     Value y = pool<lm::MaxPoolOp>(g, g.sin(g.mul(a[0], 3.0)), {3, 2}, {2, 2}, {},
                                                   {1, 0}, {1, 1});
                     return Values{g.mul(y, y)};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back(
      {"window.max_symbolic",
       {"f32[B,T,5]"},
       [](G &g, In a) { return Values{pool<lm::MaxPoolOp>(g, a[0], {3}, {}, {2}, {2}, {2})}; },
       {{"B", {1, 3}}, {"T", {1, 21}}},
       {{{"B", 3}, {"T", 21}}, {{"B", 2}, {"T", 1}}, {{"B", 1}, {"T", 2}}}});
  cases.push_back(
      {"window.average",
       {"f32[2,9,11,21]", "f32[2,5,11,21]"},
       [](G &g, In a) {
         return Values{
             g.add(pool<lm::AveragePoolOp>(g, a[0], {3, 4}, {2, 1}, {}, {1, 0}, {1, 3}), a[1])};
       },
       {},
       {{}},
       true});
  cases.push_back(
      {"window.average_symbolic",
       {"f32[2,T,21]"},
       [](G &g, In a) { return Values{pool<lm::AveragePoolOp>(g, a[0], {5}, {}, {}, {3}, {1})}; },
       {{"T", {1, 21}}},
       {{{"T", 21}}, {{"T", 1}}, {{"T", 2}}}});
  cases.push_back({"window.one_channel",
                   {"f32[3,37,1]"},
                   [](G &g, In a) {
                     return Values{pool<lm::MaxPoolOp>(g, a[0], {4}, {3}, {}, {1}, {2}),
                                   pool<lm::AveragePoolOp>(g, a[0], {4}, {3}, {}, {}, {})};
                   },
                   {},
                   {{}},
                   true});
  // So many elements that the reduction goes along columns.
  cases.push_back({"window.long",
                   {"f32[2,111,5]"},
                   [](G &g, In a) {
                     return Values{pool<lm::AveragePoolOp>(g, a[0], {100}, {2}, {}, {5}, {4}),
                                   pool<lm::MaxPoolOp>(g, a[0], {100}, {}, {}, {}, {})};
                   },
                   {},
                   {{}},
                   true});
  // Rows beside windows: two kernels each way.
  cases.push_back({"window.norms",
                   {"f32[2,9,35]", "f32[3,1,35]", "f32[35]"},
                   [](G &g, In a) {
                     Value y = convolution(g, g.b.create<lm::SoftmaxOp>(g.loc, a[0]), a[1], {}, {},
                                           {1}, {1}, 35);
                     return Values{g.b.create<lm::RmsNormOp>(g.loc, y, a[2], f64(g, 1e-5)), y};
                   },
                   {},
                   {{}},
                   true});
  // The spatial dimension is the last one in memory, and where vectors run.
  cases.push_back({"window.channels_first",
                   {"f32[2,5,69]"},
                   [](G &g, In a) {
                     Value x = g.transpose(a[0], {0, 2, 1});
                     Value y = pool<lm::MaxPoolOp>(g, x, {3}, {2}, {}, {1}, {1});
                     return Values{g.transpose(y, {0, 2, 1}), g.sumLast(g.transpose(y, {0, 2, 1}))};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"window.skewed_lanes",
                   {"f32[5,3,67]", "f32[5,3,41]", "f32[5,3,67]"},
                   [](G &g, In a) {
                     Value along = skew(g, a[0], 2, 0, 41, 3, -2, 5, 2, "lowest");
                     along = g.maximum(along, g.fullLike(-3, along));
                     return Values{
                         g.mul(along, a[1]),
                         g.add(skew(g, g.concat({a[0], a[2]}, 1), 1, 2, 3, 1, 1, -20, 1), 1.0),
                         g.sumLast(skew(g, a[0], 2, 1, 53, 1, 7, 0, 1))};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"window.integers", {"i32[3,4,2,21]<1000"}, [](G &g, In a) {
                     Value x = g.sub(a[0], g.fullLike(500, a[0]));
                     return Values{g.max(skew(g, x, 1, 2, 5, 1, 2, -2, 1, "lowest"), {2}),
                                   g.sum(skew(g, x, 1, 2, 5, 1, 2, -2, 1), {1, 2})};
                   }});
}

} // namespace lmc::test
