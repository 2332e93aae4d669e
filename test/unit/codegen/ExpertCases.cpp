// Cases of mixtures of experts: choices, groups of rows, and products with the matrix of each row's expert.
#include "test/unit/codegen/FamilyCases.h"

namespace lmc::test {

using namespace mlir;

namespace {

/// A layer's experts: scores [B, T, E], x [B, T, C], up [E, F, C], down [E, C, F] -> [B, T, C].
Values mixture(G &g, In a, int64_t perToken) {
  Value probabilities = g.b.create<lm::SoftmaxOp>(g.loc, a[0]);
  auto chosen = g.b.create<lm::TopKOp>(g.loc, probabilities, perToken);
  Value ids = g.transpose(chosen.getIds(), {2, 0, 1});
  auto rows = g.b.create<lm::GroupRowsOp>(g.loc, ids, lm::shapeOf(a[2])[0].size);
  auto product = [&](Value x, Value w) -> Value {
    return g.b.create<lm::ExpertMatmulOp>(g.loc, x, w, rows.getOrder(), rows.getStarts(), true);
  };
  Value hidden = g.b.create<lm::SiluOp>(g.loc, product(a[1], a[2]));
  Value y = product(hidden, a[3]);
  Value weights = g.transpose(chosen.getValues(), {2, 0, 1});
  return {g.sum(g.mul(y, g.perRow(weights, y)), {0})};
}

} // namespace

void addExperts(std::vector<FamilyCase> &cases) {
  auto layer = [&](std::string name, int64_t perToken, std::vector<ArgumentSpec> arguments,
                   bool gradients = true) {
    cases.push_back({"experts." + name,
                     std::move(arguments),
                     [=](G &g, In a) { return mixture(g, a, perToken); },
                     {},
                     {{}},
                     gradients});
  };
  layer("few_rows", 2, {"f32[2,3,5]", "f32[2,3,19]", "f32[5,23,19]", "f32[5,19,23]"});
  layer("one_of_many", 1, {"f32[1,7,33]", "f32[1,7,21]", "f32[33,37,21]", "f32[33,21,37]"});
  layer("all_of_few", 3, {"f32[1,9,3]", "f32[1,9,20]", "f32[3,1,20]", "f32[3,20,1]"});
  layer("one_expert", 1, {"f32[1,17,1]", "f32[1,17,20]", "f32[1,45,20]", "f32[1,20,45]"});
  layer("tiles", 2, {"f32[2,41,3]", "f32[2,41,70]", "f32[3,133,70]", "f32[3,70,133]"});
  layer("blocks", 2, {"f32[1,187,2]", "f32[1,187,40]", "f32[2,61,40]", "f32[2,40,61]"});
  cases.push_back({"experts.symbolic",
                   {"f32[1,T,4]", "f32[1,T,29]", "f32[4,43,29]", "f32[4,29,43]"},
                   [](G &g, In a) { return mixture(g, a, 2); },
                   {{"T", {1, 67}}},
                   {{{"T", 67}}, {{"T", 1}}, {{"T", 2}}, {{"T", 16}}, {{"T", 31}}}});
  // A choice among more than one vector of scores, ties among them, and values that are no numbers.
  cases.push_back({"experts.ties", {"f32[5,71]", "f32[71]"}, [](G &g, In a) {
                     Value zero = g.fullLike(0, a[0]);
                     Value even = g.select(g.compare("gt", a[0], zero), zero, a[0]);
                     Value nan = g.log(g.broadcastTo(a[1], lm::shapeOf(a[0])));
                     auto ids = [&](Value x) -> Value {
                       auto chosen = g.b.create<lm::TopKOp>(g.loc, x, 47);
                       return g.convert(chosen.getIds(), g.b.getF32Type());
                     };
                     return Values{ids(even), ids(nan)};
                   }});
}

} // namespace lmc::test
