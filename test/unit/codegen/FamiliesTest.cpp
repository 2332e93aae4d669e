// Kernel families at odd sizes that cross vector, tile and block edges: against the reference
// evaluator, on this machine's vector unit and on AVX2, with 1, 2 and 3 threads.
#include "test/unit/codegen/KernelCheck.h"

#include "ir/Dialect.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace mlir;

namespace lmc::test {
namespace {

using Values = std::vector<Value>;
using G = lm::GraphBuilder;
using In = ArrayRef<Value>;

lm::Shape likeShape(Value v) { return lm::shapeOf(v); }

FloatAttr f64(G &g, double value) { return g.b.getF64FloatAttr(value); }

void addMaps(std::vector<FamilyCase> &cases) {
  cases.push_back(
      {"map.broadcast",
       {"f32[5,3,37]", "f32[37]", "f32[3,1]", "f32[5,1,1]", "f32[]"},
       [](G &g, In a) { return Values{g.add(g.mul(g.add(a[0], a[1]), g.sub(a[2], a[4])), a[3])}; },
       {},
       {{}},
       true});
  cases.push_back({"map.slices",
                   {"f32[7,41]", "f32[9,13]"},
                   [](G &g, In a) {
                     Value tail = g.slice(a[0], 1, 28, 13), middle = g.slice(a[0], 1, 5, 13);
                     return Values{g.add(g.mul(tail, middle), g.slice(a[1], 0, 1, 7))};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back(
      {"map.concat_last",
       {"f32[5,3]", "f32[5,17]", "f32[5,9]"},
       [](G &g, In a) { return Values{g.mul(g.concat({a[0], g.neg(a[1]), a[2]}, 1), 2.0)}; },
       {},
       {{}},
       true});
  cases.push_back({"map.concat_inner",
                   {"f32[3,2,5]", "f32[3,7,5]"},
                   [](G &g, In a) {
                     return Values{g.exp(g.concat({a[0], a[1], a[0]}, 1)),
                                   g.concat({a[1], a[0]}, 1)};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"map.transposes",
                   {"f32[3,5,19]", "f32[19,5,3]", "f32[5,3,19]"},
                   [](G &g, In a) {
                     return Values{g.add(g.transpose(a[0], {2, 1, 0}), a[1]),
                                   g.transpose(a[0], {0, 2, 1}),
                                   g.mul(g.transpose(a[0], {1, 0, 2}), a[2])};
                   },
                   {},
                   {{}},
                   true});
  // Squares of lanes are turned in registers: whole ones and those cut by either edge, of several
  // operands, under a pointwise op, in other element types, with rows that are in the way.
  cases.push_back({"map.turned",
                   {"f32[2,37,53]", "f32[2,53,37]", "f32[2,37,53]", "f32[37]", "i32[2,37,53]<9"},
                   [](G &g, In a) {
                     Value x = g.transpose(g.exp(a[0]), {0, 2, 1});
                     Value y = g.transpose(g.slice(a[2], 1, 0, 37), {0, 2, 1});
                     Value z = g.transpose(g.convert(a[4], g.b.getF32Type()), {0, 2, 1});
                     return Values{g.add(g.mul(x, a[1]), g.add(y, a[3])),
                                   g.sub(z, g.transpose(g.neg(a[0]), {0, 2, 1}))};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"map.turned_whole_squares",
                   {"f32[64,3,32]", "f32[32,3,64]"},
                   [](G &g, In a) { return Values{g.mul(g.transpose(a[0], {2, 1, 0}), a[1])}; },
                   {},
                   {{}},
                   true});
  cases.push_back({"map.turned_integers",
                   {"i32[35,18]<1000", "i1[35,18]", "f32[18,35]", "f32[18,35]"},
                   [](G &g, In a) {
                     Value chosen = g.select(g.transpose(a[1], {1, 0}), a[2], a[3]);
                     return Values{chosen, g.transpose(a[0], {1, 0})};
                   },
                   {},
                   {{}},
                   false});
  cases.push_back({"map.turned_symbolic",
                   {"f32[T,3,S]", "f32[S,3,T]"},
                   [](G &g, In a) { return Values{g.sub(g.transpose(a[0], {2, 1, 0}), a[1])}; },
                   {{"T", {1, 70}}, {"S", {1, 40}}},
                   {{{"T", 70}, {"S", 40}}, {{"T", 33}, {"S", 1}}, {{"T", 1}, {"S", 17}}},
                   false});
  cases.push_back({"map.reshape_between",
                   {"f32[4,15]", "f32[6,10]"},
                   [](G &g, In a) { return Values{g.add(g.reshape(g.exp(a[0]), {6, 10}), a[1])}; },
                   {},
                   {{}},
                   true});
  // Slices of leading dimensions at multiples of 64 bytes lie where the whole is; parts are written
  // where the whole will be. Of arguments, of temporaries, and of parts themselves.
  cases.push_back({"map.leading_views",
                   {"f32[48,21]", "f32[21,32]", "f32[32,7]", "i32[48]<9"},
                   [](G &g, In a) {
                     Values parts;
                     for (int64_t start : {32, 0, 16}) {
                       Value part = g.matmul(g.slice(a[0], 0, start, 16), a[1]);
                       Value ids = g.convert(g.slice(a[3], 0, start, 16), g.b.getF32Type());
                       parts.push_back(g.mul(part, g.perRow(g.add(ids, g.sumLast(part)), part)));
                     }
                     Value whole = g.concat(parts, 0);
                     Value middle = g.slice(g.reshape(whole, {1, 48, 32}), 1, 8, 24);
                     return Values{g.matmul(middle, a[2]), g.add(whole, g.tanh(whole)),
                                   g.matmul(g.slice(parts[1], 0, 4, 12), a[2])};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"map.select",
                   {"f32[3,29]", "f32[3,29]", "i1[3,29]", "f32[29]"},
                   [](G &g, In a) {
                     Value causal =
                         g.compare("le", g.iota(cast<RankedTensorType>(a[0].getType()), 1),
                                   g.fullLike(11, a[0]));
                     return Values{g.select(
                         a[2], a[0], g.select(causal, a[1], g.broadcastTo(a[3], likeShape(a[0]))))};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"map.comparisons", {"f32[101]", "f32[101]"}, [](G &g, In a) {
                     Value x =
                         g.convert(g.convert(g.mul(a[0], 4), g.b.getI32Type()), g.b.getF32Type());
                     Value y =
                         g.convert(g.convert(g.mul(a[1], 4), g.b.getI32Type()), g.b.getF32Type());
                     Values all;
                     for (const char *predicate : {"eq", "lt", "le", "gt", "ge"})
                       all.push_back(g.compare(predicate, x, y));
                     all.push_back(g.isFinite(g.div(x, y)));
                     return all;
                   }});
  cases.push_back({"map.integers", {"i32[7,23]<1000", "i32[23]<9"}, [](G &g, In a) {
                     Value positive = g.add(a[1], g.fullLike(1, a[1]));
                     Value y =
                         g.mul(g.sub(a[0], positive), g.broadcastTo(positive, likeShape(a[0])));
                     return Values{g.maximum(y, a[0]),
                                   g.minimum(y, a[0]),
                                   g.div(a[0], positive),
                                   g.compare("lt", a[0], y),
                                   g.convert(y, g.b.getF32Type()),
                                   g.add(g.iota(cast<RankedTensorType>(a[0].getType()), 0), a[0])};
                   }});
  cases.push_back({"map.scalars", {"f32[]", "f32[]", "i32[]<100"}, [](G &g, In a) {
                     Value step = g.convert(a[2], g.b.getF32Type());
                     return Values{
                         g.minimum(g.div(g.mul(a[0], step), g.add(g.abs(a[1]), 0.5)), a[1]),
                         g.add(a[2], g.fullLike(1, a[2]))};
                   }});
  cases.push_back(
      {"map.functions", {"f32[5,67]"}, [](G &g, In a) {
         Value x = g.mul(a[0], 5), positive = g.add(g.abs(x), 0.01);
         return Values{g.exp(x),           g.expm1(x),       g.log(positive),   g.tanh(x),
                       g.erf(x),           g.sqrt(positive), g.rsqrt(positive), g.sin(g.mul(x, 20)),
                       g.cos(g.mul(x, 20))};
       }});
  cases.push_back({"map.large_arguments", {"f32[77]"}, [](G &g, In a) {
                     Value x = g.mul(a[0], 150); // exp overflows and vanishes at both ends
                     return Values{g.exp(g.minimum(x, g.fullLike(80, x))), g.tanh(x), g.erf(x),
                                   g.isFinite(x)};
                   }});
  cases.push_back(
      {"map.adamw",
       {"f32[13,37]", "f32[13,37]", "f32[13,37]", "f32[13,37]", "f32[]", "f32[]", "i1[]"},
       [](G &g, In a) {
         auto op = g.b.create<lm::AdamWOp>(g.loc, a[0], a[1], a[2], g.abs(a[3]), g.abs(a[4]), a[5],
                                           g.scalar(0.1, g.b.getF32Type()),
                                           g.scalar(0.05, g.b.getF32Type()), a[6], f64(g, 0.9),
                                           f64(g, 0.95), f64(g, 1e-8), f64(g, 0.1));
         return Values(op.getResults().begin(), op.getResults().end());
       }});
  cases.push_back({"map.rope",
                   {"f32[2,5,3,14]"},
                   [](G &g, In a) {
                     Value positions = g.iota(RankedTensorType::get({5}, g.b.getF32Type()), 0);
                     Value frequencies = g.vector({1, 0.5f, 0.25f, 0.1f, 0.04f, 0.01f, 0.003f});
                     return Values{g.b.create<lm::RopeOp>(g.loc, a[0], g.add(positions, 40),
                                                          frequencies, false)};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back(
      {"map.symbolic",
       {"f32[T,37]", "f32[37]", "f32[2,T]"},
       [](G &g, In a) {
         Value y = g.mul(g.add(a[0], a[1]), g.iota(cast<RankedTensorType>(a[0].getType()), 0));
         Value column =
             g.reshape(g.slice(a[2], 0, 1, 1), {lm::Dim(g.b.getStringAttr("T")), lm::Dim(1)});
         return Values{g.add(y, column), g.transpose(a[0], {1, 0})};
       },
       {{"T", {1, 19}}},
       {{{"T", 19}}, {{"T", 1}}, {{"T", 8}}, {{"T", 13}}}});
}

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

void addProducts(std::vector<FamilyCase> &cases) {
  auto product = [&](std::string name, ArgumentSpec left, ArgumentSpec right, bool ta, bool tb,
                     bool gradients = true) {
    cases.push_back({"matmul." + name,
                     {left, right},
                     [=](G &g, In a) { return Values{g.matmul(a[0], a[1], ta, tb)}; },
                     {},
                     {{}},
                     gradients});
  };
  product("nn", "f32[37,53]", "f32[53,41]", false, false);
  product("nt", "f32[37,53]", "f32[41,53]", false, true);
  product("tn", "f32[53,37]", "f32[53,41]", true, false);
  product("tt", "f32[53,37]", "f32[41,53]", true, true);
  product("one_row", "f32[1,67]", "f32[67,131]", false, false);
  product("one_row_nt", "f32[1,67]", "f32[131,67]", false, true);
  product("one_column", "f32[71,33]", "f32[33,1]", false, false);
  product("inner_one", "f32[19,1]", "f32[1,23]", false, false);
  product("batched_nn", "f32[3,2,11,17]", "f32[3,2,17,13]", false, false);
  product("batched_nt", "f32[5,11,17]", "f32[5,13,17]", false, true);
  product("batched_tn", "f32[5,17,11]", "f32[5,17,13]", true, false);
  product("batched_tt", "f32[5,17,11]", "f32[5,13,17]", true, true);
  product("shared", "f32[3,7,29]", "f32[29,31]", false, false);
  product("shared_nt", "f32[3,7,29]", "f32[31,29]", false, true);
  product("blocks", "f32[131,519]", "f32[519,261]", false, false, false);
  product("blocks_tn", "f32[519,131]", "f32[519,261]", true, false, false);

  cases.push_back({"matmul.bias_gelu_residual",
                   {"f32[2,13,29]", "f32[29,43]", "f32[43]", "f32[2,13,43]"},
                   [](G &g, In a) {
                     Value h = g.add(g.matmul(a[0], a[1]), a[2]);
                     Value y = g.b.create<lm::GeluOp>(g.loc, h, true);
                     return Values{g.add(y, a[3])};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"matmul.two_outputs",
                   {"f32[23,29]", "f32[29,43]", "f32[43]"},
                   [](G &g, In a) {
                     Value h = g.add(g.matmul(a[0], a[1]), a[2]);
                     return Values{g.b.create<lm::GeluOp>(g.loc, h, false), h};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"matmul.mlp",
                   {"f32[17,21]", "f32[21,45]", "f32[21,45]", "f32[45,21]"},
                   [](G &g, In a) {
                     Value hidden = g.b.create<lm::SwigluOp>(g.loc, g.matmul(a[0], a[1]),
                                                             g.matmul(a[0], a[2]));
                     return Values{g.add(a[0], g.matmul(hidden, a[3]))};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"matmul.norm_and_product",
                   {"f32[19,33]", "f32[33]", "f32[33]", "f32[47,33]", "i32[19]<47"},
                   [](G &g, In a) {
                     Value n = g.b.create<lm::LayerNormOp>(g.loc, a[0], a[1], a[2], f64(g, 1e-5));
                     Value logits = g.matmul(n, a[3], false, true);
                     return Values{g.b.create<lm::CrossEntropyOp>(g.loc, logits, a[4])};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"matmul.twice_sliced_operand",
                   {"f32[3,19,40]", "f32[11,21]"},
                   [](G &g, In a) {
                     Value part = g.slice(g.slice(a[0], 1, 3, 13), 2, 17, 11);
                     return Values{g.matmul(part, a[1])};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"matmul.sliced_operand",
                   {"f32[13,51]", "f32[17,19]"},
                   [](G &g, In a) { return Values{g.matmul(g.slice(a[0], 1, 17, 17), a[1])}; },
                   {},
                   {{}},
                   true});
  cases.push_back({"matmul.symbolic",
                   {"f32[1,T,29]", "f32[29,37]", "f32[37]", "f32[41,37]"},
                   [](G &g, In a) {
                     Value h = g.b.create<lm::SiluOp>(g.loc, g.add(g.matmul(a[0], a[1]), a[2]));
                     return Values{h, g.matmul(h, a[3], false, true)};
                   },
                   {{"T", {1, 47}}},
                   {{{"T", 47}}, {{"T", 1}}, {{"T", 2}}, {{"T", 16}}, {{"T", 31}}}});
}

void addAttention(std::vector<FamilyCase> &cases) {
  auto attend = [](G &g, Value q, Value k, Value v, Value past, bool causal) {
    return g.b.create<lm::AttentionOp>(g.loc, q, k, v, past, g.b.getF64FloatAttr(0.3),
                                       causal ? g.b.getUnitAttr() : UnitAttr());
  };
  auto plain = [&](std::string name, ArgumentSpec q, ArgumentSpec kv, bool causal) {
    cases.push_back(
        {"attention." + name,
         {q, kv, kv},
         [=](G &g, In a) { return Values{attend(g, a[0], a[1], a[2], {}, causal).getOut()}; },
         {},
         {{}},
         true});
  };
  plain("causal", "f32[2,37,3,16]", "f32[2,37,3,16]", true);
  plain("full", "f32[2,21,3,8]", "f32[2,21,3,8]", false);
  plain("odd_head", "f32[1,19,2,11]", "f32[1,19,2,11]", true);
  plain("grouped", "f32[2,35,6,8]", "f32[2,35,2,8]", true);
  plain("one_token", "f32[3,1,4,8]", "f32[3,1,2,8]", true);
  plain("long", "f32[1,133,2,32]", "f32[1,133,1,32]", true);
  // Items enough for one kernel of the adjoint; in the last two with several tiles of keys.
  plain("many_full", "f32[3,21,5,11]", "f32[3,21,5,11]", false);
  plain("many_grouped", "f32[2,261,8,24]", "f32[2,261,4,24]", true);
  plain("many_full_long", "f32[4,150,2,40]", "f32[4,150,2,40]", false);
  cases.push_back({"attention.transposed_heads", // rows of heads do not lie in one piece
                   {"f32[1,9,2,19]", "f32[1,9,2,19]", "f32[1,19,2,9]"},
                   [=](G &g, In a) {
                     Value q = g.transpose(a[0], {0, 3, 2, 1}), k = g.transpose(a[1], {0, 3, 2, 1});
                     return Values{attend(g, q, k, a[2], {}, true).getOut()};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"attention.fused_qkv",
                   {"f32[2,19,72]"},
                   [=](G &g, In a) {
                     auto part = [&](int64_t index) {
                       return g.reshape(g.slice(a[0], 2, index * 24, 24), {2, 19, 3, 8});
                     };
                     return Values{g.reshape(
                         attend(g, part(0), part(1), part(2), {}, true).getOut(), {2, 19, 24})};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"attention.block",
                   {"f32[2,13,24]", "f32[24,72]", "f32[24,24]", "f32[72]"},
                   [=](G &g, In a) {
                     Value qkv = g.add(g.matmul(a[0], a[1]), a[3]);
                     auto part = [&](int64_t index) {
                       return g.reshape(g.slice(qkv, 2, index * 24, 24), {2, 13, 3, 8});
                     };
                     Value out = attend(g, part(0), part(1), part(2), {}, true).getOut();
                     return Values{g.add(a[0], g.matmul(g.reshape(out, {2, 13, 24}), a[2]))};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"attention.cache",
                   {"f32[1,T,6,8]", "f32[1,T,2,8]", "f32[1,T,2,8]", "f32[1,53,2,8]",
                    "f32[1,53,2,8]", "i32[]<17"},
                   [=](G &g, In a) {
                     Value k = g.b.create<lm::CacheAppendOp>(g.loc, a[3], a[1], a[5]);
                     Value v = g.b.create<lm::CacheAppendOp>(g.loc, a[4], a[2], a[5]);
                     return Values{attend(g, a[0], k, v, a[5], true).getOut(), k, v};
                   },
                   {{"T", {1, 33}}},
                   {{{"T", 33}}, {{"T", 1}}, {{"T", 7}}, {{"T", 20}}}});
  cases.push_back({"attention.decode",
                   {"f32[1,1,6,8]", "f32[1,1,3,8]", "f32[1,1,3,8]", "f32[1,71,3,8]",
                    "f32[1,71,3,8]", "i32[]<71"},
                   [=](G &g, In a) {
                     Value k = g.b.create<lm::CacheAppendOp>(g.loc, a[3], a[1], a[5]);
                     Value v = g.b.create<lm::CacheAppendOp>(g.loc, a[4], a[2], a[5]);
                     return Values{attend(g, a[0], k, v, a[5], true).getOut(), k, v};
                   }});
}

void addTables(std::vector<FamilyCase> &cases) {
  cases.push_back({"gather.embedding",
                   {"f32[31,27]", "i32[3,17]<31", "f32[17,27]"},
                   [](G &g, In a) {
                     Value rows = g.b.create<lm::GatherOp>(g.loc, a[0], a[1]);
                     return Values{g.add(rows, a[2])};
                   },
                   {},
                   {{}},
                   true});
  cases.push_back({"gather.one_row_of_many",
                   {"f32[1,41]", "i32[5]<1"},
                   [](G &g, In a) { return Values{g.b.create<lm::GatherOp>(g.loc, a[0], a[1])}; },
                   {},
                   {{}},
                   true});
  cases.push_back({"gather.symbolic",
                   {"f32[31,27]", "i32[1,T]<31"},
                   [](G &g, In a) { return Values{g.b.create<lm::GatherOp>(g.loc, a[0], a[1])}; },
                   {{"T", {1, 29}}},
                   {{{"T", 29}}, {{"T", 1}}, {{"T", 15}}}});
  cases.push_back({"scatter.repeated_ids",
                   {"i32[3,67]<5", "f32[3,67,21]"},
                   [](G &g, In a) {
                     auto type = RankedTensorType::get({11, 21}, g.b.getF32Type());
                     return Values{g.b.create<lm::ScatterAddOp>(g.loc, type, a[0], a[1])};
                   },
                   {},
                   {{}},
                   false});
}

} // namespace

const std::vector<FamilyCase> &familyCases() {
  static const std::vector<FamilyCase> cases = [] {
    std::vector<FamilyCase> all;
    addMaps(all);
    addRows(all);
    addColumns(all);
    addProducts(all);
    addAttention(all);
    addTables(all);
    return all;
  }();
  return cases;
}

namespace {

class Family : public testing::TestWithParam<FamilyCase>, public Context {
protected:
  void check(bool gradients, const std::string &cpu) {
    checkFamily(*this, GetParam(), gradients, {.cpu = cpu});
  }
};

TEST_P(Family, MatchesTheEvaluator) { check(false, "host"); }

TEST_P(Family, GradientsMatchTheEvaluator) {
  if (GetParam().gradients)
    check(true, "host");
}

TEST_P(Family, MatchesTheEvaluatorOnAvx2) {
  llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
  if (!features.lookup("avx2") || !features.lookup("fma") || !features.lookup("avx512f"))
    GTEST_SKIP() << "this machine has no AVX2, or AVX2 is what 'host' means here";
  check(GetParam().gradients, "x86-64-v3");
}

INSTANTIATE_TEST_SUITE_P(Cases, Family, testing::ValuesIn(familyCases()),
                         [](const auto &info) { return testName(info.param.name); });

} // namespace
} // namespace lmc::test
