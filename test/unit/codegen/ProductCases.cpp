// Cases of products, attention, and tables that are gathered from or scattered to.
#include "test/unit/codegen/FamilyCases.h"

namespace lmc::test {

using namespace mlir;

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
  cases.push_back({"matmul.rows_of_two_symbols",
                   {"f32[B,3,T,29]", "f32[29,37]", "f32[37]"},
                   [](G &g, In a) { return Values{g.tanh(g.add(g.matmul(a[0], a[1]), a[2]))}; },
                   {{"B", {1, 3}}, {"T", {1, 47}}},
                   {{{"B", 3}, {"T", 47}}, {{"B", 1}, {"T", 2}}, {{"B", 2}, {"T", 1}}}});
}

void addAttention(std::vector<FamilyCase> &cases) {
  auto attend = [](G &g, Value q, Value k, Value v, Value past, lm::AttentionScores scores) {
    scores.scale = 0.3;
    return g.b.create<lm::AttentionOp>(g.loc, ValueRange{q, k, v, past}, scores);
  };
  auto plain = [&](std::string name, ArgumentSpec q, ArgumentSpec kv, lm::AttentionScores scores) {
    cases.push_back(
        {"attention." + name,
         {q, kv, kv},
         [=](G &g, In a) { return Values{attend(g, a[0], a[1], a[2], {}, scores).getOut()}; },
         {},
         {{}},
         true});
  };
  const lm::AttentionScores full{}, causal{1, true};
  auto window = [](int64_t keys, double softCap = 0) {
    return lm::AttentionScores{1, true, keys, softCap};
  };
  plain("causal", "f32[2,37,3,16]", "f32[2,37,3,16]", causal);
  plain("full", "f32[2,21,3,8]", "f32[2,21,3,8]", full);
  plain("odd_head", "f32[1,19,2,11]", "f32[1,19,2,11]", causal);
  plain("grouped", "f32[2,35,6,8]", "f32[2,35,2,8]", causal);
  plain("one_token", "f32[3,1,4,8]", "f32[3,1,2,8]", causal);
  plain("long", "f32[1,133,2,32]", "f32[1,133,1,32]", causal);
  plain("window", "f32[2,67,3,16]", "f32[2,67,3,16]", window(7));
  plain("window_long", "f32[1,333,2,32]", "f32[1,333,1,32]", window(150));
  plain("window_of_one", "f32[1,45,2,8]", "f32[1,45,1,8]", window(1));
  plain("window_of_all", "f32[1,37,2,8]", "f32[1,37,2,8]", window(37));
  plain("soft_cap", "f32[2,37,4,16]", "f32[2,37,2,16]", {1, false, 0, 0.7});
  plain("window_soft_cap", "f32[1,141,2,24]", "f32[1,141,1,24]", window(40, 0.5));
  // Items enough for one kernel of the adjoint; in all but the first with several tiles of keys.
  plain("many_full", "f32[3,21,5,11]", "f32[3,21,5,11]", full);
  plain("many_grouped", "f32[2,261,8,24]", "f32[2,261,4,24]", causal);
  plain("many_full_long", "f32[4,150,2,40]", "f32[4,150,2,40]", full);
  plain("many_window", "f32[2,391,8,24]", "f32[2,391,4,24]", window(35));
  plain("many_window_soft_cap", "f32[4,271,2,24]", "f32[4,271,2,24]", window(160, 0.5));
  cases.push_back({"attention.transposed_heads", // rows of heads do not lie in one piece
                   {"f32[1,9,2,19]", "f32[1,9,2,19]", "f32[1,19,2,9]"},
                   [=](G &g, In a) {
                     Value q = g.transpose(a[0], {0, 3, 2, 1}), k = g.transpose(a[1], {0, 3, 2, 1});
                     return Values{attend(g, q, k, a[2], {}, causal).getOut()};
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
                         attend(g, part(0), part(1), part(2), {}, causal).getOut(), {2, 19, 24})};
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
                     Value out = attend(g, part(0), part(1), part(2), {}, causal).getOut();
                     return Values{g.add(a[0], g.matmul(g.reshape(out, {2, 13, 24}), a[2]))};
                   },
                   {},
                   {{}},
                   true});
  auto cached = [&](std::string name, lm::AttentionScores scores) {
    auto append = [=](G &g, In a) {
      Value k = g.b.create<lm::CacheAppendOp>(g.loc, a[3], a[1], a[5]);
      Value v = g.b.create<lm::CacheAppendOp>(g.loc, a[4], a[2], a[5]);
      return Values{attend(g, a[0], k, v, a[5], scores).getOut(), k, v};
    };
    cases.push_back({"attention.cache" + name,
                     {"f32[1,T,6,8]", "f32[1,T,2,8]", "f32[1,T,2,8]", "f32[1,53,2,8]",
                      "f32[1,53,2,8]", "i32[]<17"},
                     append,
                     {{"T", {1, 33}}},
                     {{{"T", 33}}, {{"T", 1}}, {{"T", 7}}, {{"T", 20}}}});
    cases.push_back({"attention.decode" + name,
                     {"f32[1,1,6,8]", "f32[1,1,3,8]", "f32[1,1,3,8]", "f32[1,71,3,8]",
                      "f32[1,71,3,8]", "i32[]<71"},
                     append});
  };
  cached("", causal);
  cached("_window", window(9));
  cached("_soft_cap", {1, true, 0, 0.6});
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

} // namespace lmc::test
