// Cases of rows and columns: softmax, norms, reductions along either, global norms.
#include "test/unit/codegen/FamilyCases.h"

namespace lmc::test {

using namespace mlir;

void addRows(std::vector<FamilyCase> &cases) {
  cases.push_back(
      {"row.softmax",
       {"f32[3,7,45]"},
       [](G &g, In a) { return Values{g.b.create<lm::SoftmaxOp>(g.loc, g.mul(a[0], 9))}; },
       {},
       {{}},
       true});
  // A row whose exponentials do not stay in cache: they are computed twice.
  cases.push_back({"row.softmax_long", {"f32[2,300001]"}, [](G &g, In a) {
                     return Values{g.b.create<lm::SoftmaxOp>(g.loc, g.mul(a[0], 9))};
                   }});
  // Kept by the first sum, found by the second and by the row; another by the second alone.
  cases.push_back({"row.kept",
                   {"f32[5,67]", "f32[5,67]"},
                   [](G &g, In a) {
                     Value x = g.exp(a[0]), y = g.tanh(g.mul(a[1], g.perRow(g.sumLast(x), x)));
                     Value sum = g.sumLast(g.mul(x, y));
                     return Values{g.add(g.mul(x, g.perRow(sum, x)), y), sum};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"row.softmax_of_one", {"f32[9,1]"}, [](G &g, In a) {
                     return Values{g.b.create<lm::SoftmaxOp>(g.loc, a[0])};
                   }});
  cases.push_back({"row.layer_norm",
                   {"f32[5,3,67]", "f32[67]", "f32[67]"},
                   [](G &g, In a) {
                     return Values{g.b.create<lm::LayerNormOp>(g.loc, g.add(a[0], 3), a[1], a[2],
                                                               f64(g, 1e-5))};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"row.rms_norm",
                   {"f32[15,131]", "f32[131]"},
                   [](G &g, In a) {
                     return Values{g.b.create<lm::RmsNormOp>(g.loc, a[0], a[1], f64(g, 1e-6))};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"row.residual_and_norm",
                   {"f32[11,33]", "f32[11,33]", "f32[33]"},
                   [](G &g, In a) {
                     Value sum = g.add(a[0], a[1]);
                     return Values{g.b.create<lm::RmsNormOp>(g.loc, sum, a[2], f64(g, 1e-5)), sum};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"row.cross_entropy",
                   {"f32[2,13,103]", "i32[2,13]<103"},
                   [](G &g, In a) {
                     return Values{g.b.create<lm::CrossEntropyOp>(g.loc, g.mul(a[0], 20), a[1])};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"row.mean_loss",
                   {"f32[26,257]", "i32[26]<257"},
                   [](G &g, In a) {
                     Value rows = g.b.create<lm::CrossEntropyOp>(g.loc, a[0], a[1]);
                     return Values{g.mul(g.sumAll(rows), 1.0 / 26)};
                   },
                   {},
                   {{}},
                   true});
  // Beyond what f32 holds exactly, and the lowest number where every element is low.
  cases.push_back({"row.integer_reductions", {"i32[3,5,49]<1000"}, [](G &g, In a) {
                     Value large = g.add(g.mul(a[0], 40000.0), 1.0);
                     return Values{g.sumLast(large), g.max(g.add(a[0], -2000000000.0), {-1}),
                                   g.sum(large, {0, 1})};
                   }});
  cases.push_back({"row.reductions",
                   {"f32[3,5,49]"},
                   [](G &g, In a) {
                     return Values{g.sumLast(a[0]), g.max(a[0], {-1}), g.sum(a[0], {1, 2}),
                                   g.max(g.neg(a[0]), {1, 2})};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"row.symbolic",
                   {"f32[T,45]", "f32[45]", "f32[3,T]"},
                   [](G &g, In a) {
                     return Values{g.b.create<lm::RmsNormOp>(g.loc, a[0], a[1], f64(g, 1e-5)),
                                   g.b.create<lm::SoftmaxOp>(g.loc, a[2])};
                   },
                   {{"T", {1, 35}}},
                   {{{"T", 35}}, {{"T", 1}}, {{"T", 16}}, {{"T", 27}}}});
}

void addColumns(std::vector<FamilyCase> &cases) {
  cases.push_back({"column.one",
                   {"f32[131,37]", "f32[131,37]"},
                   [](G &g, In a) {
                     return Values{g.sum(a[0], {0}), g.sum(g.mul(a[0], a[1]), {0}),
                                   g.max(a[0], {0})};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"column.two",
                   {"f32[9,43,21]"},
                   [](G &g, In a) { return Values{g.sum(a[0], {0, 1}), g.max(a[0], {0, 1})}; },
                   {},
                   {{}},
                   true});
  cases.push_back({"column.three",
                   {"f32[3,5,17,19]"},
                   [](G &g, In a) { return Values{g.sum(a[0], {0, 1, 2})}; },
                   {},
                   {{}},
                   true});
  cases.push_back(
      {"column.middle",
       {"f32[3,31,17]"},
       [](G &g, In a) { return Values{g.sum(a[0], {1}), g.max(a[0], {1}), g.sum(a[0], {0, 2})}; },
       {},
       {{}},
       true});
  cases.push_back(
      {"column.tall", {"f32[4099,3]"}, [](G &g, In a) { return Values{g.sum(a[0], {0})}; }});
  // Several strips, the last one cut inside a vector; rows in eights and a rest; two kinds of sums.
  cases.push_back({"column.strips",
                   {"f32[19,1037]", "f32[1037]", "i32[19,1037]<1000"},
                   [](G &g, In a) {
                     return Values{g.sum(g.mul(a[0], a[1]), {0}), g.max(a[0], {0}),
                                   g.sum(a[2], {0})};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"column.strips_and_rows",
                   {"f32[3,17,2,530]"},
                   [](G &g, In a) { return Values{g.sum(a[0], {0, 1}), g.max(a[0], {1})}; },
                   {},
                   {{}},
                   true});
  cases.push_back({"column.symbolic",
                   {"f32[T,5,21]"},
                   [](G &g, In a) { return Values{g.sum(a[0], {0}), g.sum(a[0], {0, 1})}; },
                   {{"T", {1, 67}}},
                   {{{"T", 67}}, {{"T", 1}}, {{"T", 33}}}});
  cases.push_back({"norm.small",
                   {"f32[7]", "f32[3,5]", "f32[2,3,11]"},
                   [](G &g, In a) { return Values{g.b.create<lm::GlobalNormOp>(g.loc, a)}; },
                   {},
                   {{}},
                   true});
  cases.push_back({"norm.large", {"f32[70001]", "f32[271,263]", "f32[41,43,47]"}, [](G &g, In a) {
                     Value norm = g.b.create<lm::GlobalNormOp>(g.loc, a);
                     return Values{norm, g.mul(a[0], g.div(g.scalar(1, g.b.getF32Type()), norm))};
                   }});
}

} // namespace lmc::test
