// The list of products: layouts, alignments, sizes on both sides of every edge, few rows, views and
// epilogues.
#include "Program.h"

namespace lmc::test {
namespace {

constexpr double kTolerance = 1e-4; ///< of sums in f32 whose terms cancel

/// a [m, k] b [k, n] or transposed ("n" or "t" each), as one product of `element`; operands that are
/// `stored` in another type are rounded.
Source product(const std::string &name, int m, int k, int n, const std::string &layout,
               const std::string &element, const std::string &storedA = "",
               const std::string &storedB = "") {
  auto tensor = [](int rows, int columns, const std::string &type) {
    return "tensor<" + std::to_string(rows) + "x" + std::to_string(columns) + "x" + type + ">";
  };
  bool ta = layout[0] == 't', tb = layout[1] == 't';
  auto a = [&](const std::string &type) { return ta ? tensor(k, m, type) : tensor(m, k, type); };
  auto b = [&](const std::string &type) { return tb ? tensor(n, k, type) : tensor(k, n, type); };
  std::string y = tensor(m, n, element == "f64" ? "f64" : "f32"), left = "%a", right = "%b", text;
  auto round = [&](std::string &value, const std::string &from, const std::string &to) {
    text += value + "_rounded = lm.convert " + value + " : (" + from + ") -> " + to + "\n";
    value += "_rounded";
  };
  if (!storedA.empty())
    round(left, a(storedA), a(element));
  if (!storedB.empty())
    round(right, b(storedB), b(element));
  std::string attributes =
      std::string(ta ? "transpose_a" : "") + (ta && tb ? ", " : "") + (tb ? "transpose_b" : "");
  return {name,
          "func.func @f(%a: " + a(storedA.empty() ? element : storedA) +
              ", %b: " + b(storedB.empty() ? element : storedB) + ") -> " + y + " {\n" + text +
              "%y = lm.matmul " + left + ", " + right + " {" + attributes + "} : (" + a(element) +
              ", " + b(element) + ") -> " + y + "\nreturn %y : " + y + "\n}",
          {},
          kTolerance};
}

/// x [T, k] w with T up to `most`, T rows in this run; w may be stored as f32 and rounded.
Source symbolic(const std::string &name, int rows, int most, int k, int n, bool transposed,
                const std::string &element, bool rounded = false) {
  std::string a = "tensor<?x" + std::to_string(k) + "x" + element + ", #lm.dims<\"T\">>";
  auto weight = [&](const std::string &type) {
    return "tensor<" + std::to_string(transposed ? n : k) + "x" +
           std::to_string(transposed ? k : n) + "x" + type + ">";
  };
  std::string b = weight(element), stored = rounded ? weight("f32") : b;
  std::string y = "tensor<?x" + std::to_string(n) + "xf32, #lm.dims<\"T\">>";
  return {name,
          "func.func @f(%a: " + a + ", %w: " + stored + ") -> " + y +
              " attributes {lm.ranges = {T = array<i64: 1, " + std::to_string(most) + ">}} {\n" +
              (rounded ? "%b = lm.convert %w : (" + stored + ") -> " + b + "\n" : "") +
              "%y = lm.matmul %a, " + (rounded ? "%b" : "%w") + " {" +
              (transposed ? "transpose_b" : "") + "} : (" + a + ", " + b + ") -> " + y +
              "\nreturn %y : " + y + "\n}",
          {{"T", rows}},
          kTolerance};
}

std::vector<Source> layouts() {
  std::vector<Source> list;
  for (const char *layout : {"nn", "nt", "tn", "tt"}) {
    std::string name = layout;
    list.push_back(product("f32_" + name, 67, 37, 70, layout, "f32"));    // odd: 4 bytes at a time
    list.push_back(product("bf16_" + name, 72, 80, 136, layout, "bf16")); // 16 bytes at a time
  }
  for (const char *layout : {"nn", "tt"}) {
    std::string name = layout;
    list.push_back(product("bf16_odd_" + name, 67, 35, 71, layout, "bf16")); // loaded and stored
    list.push_back(product("rounded_" + name, 68, 44, 76, layout, "bf16", "f32", "f32"));
  }
  list.push_back(product("f32_aligned", 72, 48, 68, "tn", "f32"));
  list.push_back(product("bf16_pairs", 66, 34, 70, "nn", "bf16"));
  list.push_back(product("bf16_fours", 68, 36, 76, "tt", "bf16"));
  list.push_back(product("rounded_weight", 67, 40, 75, "nt", "bf16", "", "f32"));
  list.push_back(product("one_step", 65, 3, 9, "nn", "f32"));
  list.push_back(product("f64_tiles", 67, 19, 65, "nn", "f64"));
  list.push_back(product("f64_tiles_tt", 66, 18, 68, "tt", "f64"));
  return list;
}

std::vector<Source> fewRows() {
  std::vector<Source> list;
  list.push_back(product("few_f32_nt", 1, 515, 37, "nt", "f32"));
  list.push_back(product("few_f32_nn", 3, 130, 37, "nn", "f32"));
  list.push_back(product("few_f32_nn_aligned", 7, 130, 40, "nn", "f32"));
  list.push_back(product("few_f32_ta", 5, 64, 33, "tt", "f32"));
  list.push_back(product("few_bf16_nt", 8, 528, 20, "nt", "bf16"));
  list.push_back(product("few_bf16_nn", 2, 77, 72, "nn", "bf16"));
  list.push_back(product("few_rounded", 6, 72, 33, "nt", "bf16", "f32", "f32"));
  list.push_back(product("few_rounded_nn", 6, 71, 36, "nn", "bf16", "f32", "f32"));
  list.push_back(product("few_f64", 4, 21, 35, "nn", "f64"));
  // A symbol decides when it runs: narrow blocks, then blocks as wide as tiles.
  for (int rows : {3, 21}) {
    std::string at = "_" + std::to_string(rows);
    list.push_back(symbolic("decode_nt" + at, rows, 32, 80, 75, true, "bf16"));
    list.push_back(symbolic("decode_nn" + at, rows, 32, 40, 77, false, "f32"));
  }
  for (int rows : {1, 131}) {
    std::string at = "_" + std::to_string(rows);
    list.push_back(symbolic("prefill_f32" + at, rows, 32768, 36, 132, false, "f32"));
    list.push_back(symbolic("prefill_bf16_nt" + at, rows, 32768, 72, 136, true, "bf16"));
  }
  list.push_back(symbolic("prefill_bf16_131", 131, 32768, 72, 136, false, "bf16"));
  list.push_back(symbolic("prefill_rounded_131", 131, 32768, 72, 136, true, "bf16", true));
  return list;
}

std::vector<Source> batches() {
  return {
      {"batch_nn",
       R"(
func.func @f(%a: tensor<2x3x21x10xf32>, %b: tensor<2x3x10x17xf32>) -> tensor<2x3x21x17xf32> {
  %y = lm.matmul %a, %b : (tensor<2x3x21x10xf32>, tensor<2x3x10x17xf32>) -> tensor<2x3x21x17xf32>
  return %y : tensor<2x3x21x17xf32>
})",
       {},
       kTolerance},
      {"batch_few_tt",
       R"(
func.func @f(%a: tensor<5x10x3xf32>, %b: tensor<5x7x10xf32>) -> tensor<5x3x7xf32> {
  %y = lm.matmul %a, %b {transpose_a, transpose_b} : (tensor<5x10x3xf32>, tensor<5x7x10xf32>) -> tensor<5x3x7xf32>
  return %y : tensor<5x3x7xf32>
})",
       {},
       kTolerance},
      {"shared_right_side",
       R"(
!a = tensor<?x?x12xf32, #lm.dims<"B", "T">>
!y = tensor<?x?x18xf32, #lm.dims<"B", "T">>
func.func @f(%a: !a, %b: tensor<12x18xf32>) -> !y attributes {lm.ranges = {B = array<i64: 1, 4>, T = array<i64: 1, 64>}} {
  %y = lm.matmul %a, %b : (!a, tensor<12x18xf32>) -> !y
  return %y : !y
})",
       {{"B", 3}, {"T", 29}},
       kTolerance},
      // A part of a projection: leading dimensions stay batches, and starts are odd or aligned.
      {"slice_of_a_projection",
       R"(
func.func @f(%x: tensor<3x13x40xbf16>, %z: tensor<3x13x41xf32>, %w: tensor<16x24xbf16>, %v: tensor<20x10xf32>)
    -> (tensor<3x13x24xf32>, tensor<3x13x20xf32>) {
  %s = lm.slice %x {dim = 2 : i64, start = 8 : i64, size = 16 : i64} : (tensor<3x13x40xbf16>) -> tensor<3x13x16xbf16>
  %p = lm.matmul %s, %w : (tensor<3x13x16xbf16>, tensor<16x24xbf16>) -> tensor<3x13x24xf32>
  %t = lm.slice %z {dim = 2 : i64, start = 29 : i64, size = 10 : i64} : (tensor<3x13x41xf32>) -> tensor<3x13x10xf32>
  %q = lm.matmul %t, %v {transpose_b} : (tensor<3x13x10xf32>, tensor<20x10xf32>) -> tensor<3x13x20xf32>
  return %p, %q : tensor<3x13x24xf32>, tensor<3x13x20xf32>
})",
       {},
       kTolerance},
      {"heads",
       R"(
!four = tensor<2x?x2x16xbf16, #lm.dims<"T">>
!head = tensor<2x2x?x16xbf16, #lm.dims<"T">>
!y = tensor<2x2x?x?xf32, #lm.dims<"T", "T">>
func.func @f(%q: !four, %k: !four) -> !y attributes {lm.ranges = {T = array<i64: 1, 128>}} {
  %qh = lm.transpose %q {permutation = array<i64: 0, 2, 1, 3>} : (!four) -> !head
  %kh = lm.transpose %k {permutation = array<i64: 0, 2, 1, 3>} : (!four) -> !head
  %y = lm.matmul %qh, %kh {transpose_b} : (!head, !head) -> !y
  return %y : !y
})",
       {{"T", 35}},
       kTolerance},
      {"symbolic_depth",
       R"(
!p = tensor<2x?x?xf32, #lm.dims<"T", "T">>
!v = tensor<2x?x20xf32, #lm.dims<"T">>
func.func @f(%p: !p, %v: !v) -> !v attributes {lm.ranges = {T = array<i64: 1, 128>}} {
  %y = lm.matmul %p, %v : (!p, !v) -> !v
  return %y : !v
})",
       {{"T", 37}},
       kTolerance},
      {"no_contiguous_dimension",
       R"(
func.func @f(%x: tensor<18x5x7xf32>, %z: tensor<18x9x7xbf16>, %b: tensor<7x5x12xf32>, %c: tensor<7x12x9xbf16>)
    -> (tensor<7x18x12xf32>, tensor<7x18x12xf32>) {
  %a = lm.transpose %x {permutation = array<i64: 2, 0, 1>} : (tensor<18x5x7xf32>) -> tensor<7x18x5xf32>
  %y = lm.matmul %a, %b : (tensor<7x18x5xf32>, tensor<7x5x12xf32>) -> tensor<7x18x12xf32>
  %d = lm.transpose %z {permutation = array<i64: 2, 0, 1>} : (tensor<18x9x7xbf16>) -> tensor<7x18x9xbf16>
  %w = lm.matmul %d, %c {transpose_b} : (tensor<7x18x9xbf16>, tensor<7x12x9xbf16>) -> tensor<7x18x12xf32>
  return %y, %w : tensor<7x18x12xf32>, tensor<7x18x12xf32>
})",
       {},
       kTolerance},
  };
}

std::vector<Source> epilogues() {
  return {
      {"bias_gelu_residual",
       R"(
!x = tensor<2x?x24xf32, #lm.dims<"T">>
!y = tensor<2x?x70xf32, #lm.dims<"T">>
func.func @f(%x: !x, %w: tensor<24x70xf32>, %bias: tensor<70xf32>, %r: !y) -> (!y, !y)
    attributes {lm.ranges = {T = array<i64: 1, 64>}} {
  %p = lm.matmul %x, %w : (!x, tensor<24x70xf32>) -> !y
  %b = lm.broadcast %bias {dims = array<i64: 2>} : (tensor<70xf32>) -> !y
  %h = lm.add %p, %b : (!y, !y) -> !y
  %g = lm.gelu %h {approximate} : (!y) -> !y
  %z = lm.add %g, %r : (!y, !y) -> !y
  return %h, %z : !y, !y
})",
       {{"T", 35}},
       kTolerance},
      {"few_rows_bias_bf16",
       R"(
func.func @f(%x: tensor<3x64xbf16>, %w: tensor<50x64xbf16>, %bias: tensor<50xf32>) -> tensor<3x50xbf16> {
  %p = lm.matmul %x, %w {transpose_b} : (tensor<3x64xbf16>, tensor<50x64xbf16>) -> tensor<3x50xf32>
  %b = lm.broadcast %bias {dims = array<i64: 1>} : (tensor<50xf32>) -> tensor<3x50xf32>
  %h = lm.add %p, %b : (tensor<3x50xf32>, tensor<3x50xf32>) -> tensor<3x50xf32>
  %z = lm.convert %h : (tensor<3x50xf32>) -> tensor<3x50xbf16>
  return %z : tensor<3x50xbf16>
})",
       {},
       8e-3}, // one rounding to 8 bits
      // Gradients add up in place: the output is the input's memory.
      {"accumulate_in_place",
       R"(
!d = tensor<75x69xf32>
func.func @f(%d: !d {lm.name = "d", lm.role = "gradient"}, %x: tensor<40x75xf32> {lm.name = "x", lm.role = "input"},
             %dy: tensor<40x69xf32> {lm.name = "dy", lm.role = "input"}) -> (!d {lm.updates = 0 : i64}) {
  %p = lm.matmul %x, %dy {transpose_a} : (tensor<40x75xf32>, tensor<40x69xf32>) -> !d
  %s = lm.add %d, %p : (!d, !d) -> !d
  return %s : !d
})",
       {},
       kTolerance},
      {"accumulate_few_rows_in_place",
       R"(
!d = tensor<4x69xf32>
func.func @f(%d: !d {lm.name = "d", lm.role = "gradient"}, %x: tensor<40x4xf32> {lm.name = "x", lm.role = "input"},
             %dy: tensor<40x69xf32> {lm.name = "dy", lm.role = "input"}) -> (!d {lm.updates = 0 : i64}) {
  %p = lm.matmul %x, %dy {transpose_a} : (tensor<40x4xf32>, tensor<40x69xf32>) -> !d
  %s = lm.add %d, %p : (!d, !d) -> !d
  return %s : !d
})",
       {},
       kTolerance},
      {"row_scale",
       R"(
func.func @f(%x: tensor<70x18xf32>, %w: tensor<18x66xf32>, %s: tensor<70xf32>, %c: tensor<66xf32>) -> tensor<70x66xf32> {
  %p = lm.matmul %x, %w : (tensor<70x18xf32>, tensor<18x66xf32>) -> tensor<70x66xf32>
  %sb = lm.broadcast %s {dims = array<i64: 0>} : (tensor<70xf32>) -> tensor<70x66xf32>
  %cb = lm.broadcast %c {dims = array<i64: 1>} : (tensor<66xf32>) -> tensor<70x66xf32>
  %q = lm.mul %p, %sb : (tensor<70x66xf32>, tensor<70x66xf32>) -> tensor<70x66xf32>
  %y = lm.add %q, %cb : (tensor<70x66xf32>, tensor<70x66xf32>) -> tensor<70x66xf32>
  return %y : tensor<70x66xf32>
})",
       {},
       kTolerance},
  };
}

} // namespace

const std::vector<Source> &productSources() {
  static const std::vector<Source> list = [] {
    std::vector<Source> all;
    for (auto &part : {layouts(), fewRows(), batches(), epilogues()})
      all.insert(all.end(), part.begin(), part.end());
    for (Source source : batches())
      if (source.name == "heads" || source.name == "symbolic_depth") {
        source.name += "_few";
        source.extents["T"] = 5;
        all.push_back(source);
      }
    return all;
  }();
  return list;
}

} // namespace lmc::test
