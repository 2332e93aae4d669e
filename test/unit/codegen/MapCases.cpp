// Cases of maps: broadcasts, slices, concatenations, transposes, symbolic shapes.
#include "test/unit/codegen/FamilyCases.h"

namespace lmc::test {

using namespace mlir;

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
  // Each value is read twice by the next one: 2^40 ways lead to the buffer.
  cases.push_back({"map.turned_through_many_readers",
                   {"f32[21,35]"},
                   [](G &g, In a) {
                     Value x = a[0];
                     for (int i = 0; i < 40; ++i)
                       x = g.mul(g.add(x, x), 0.5);
                     return Values{g.transpose(x, {1, 0})};
                   },
                   {},
                   {{}},
                   false});
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

} // namespace lmc::test
