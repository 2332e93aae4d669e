#include "Program.h"

#include "../passes/Graphs.h"
#include "passes/Passes.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace lmc::test {
namespace {

/// layer_norm from primitives, which returns its statistics as well.
std::string layerNorm(const std::string &rows, const std::string &dims, int columns,
                      const std::string &encoding) {
  std::string x = "tensor<" + rows + "x" + std::to_string(columns) + "xf32" + encoding + ">";
  std::string row = "tensor<" + rows + "xf32" + encoding + ">";
  std::string c = "tensor<" + std::to_string(columns) + "xf32>";
  int rank = 1 + static_cast<int>(std::count(rows.begin(), rows.end(), 'x')) + 1;
  std::string last = std::to_string(rank - 1);
  std::string leading;
  for (int i = 0; i + 1 < rank; ++i)
    leading += (i ? ", " : ": ") + std::to_string(i);
  std::string perRow = "{dims = array<i64" + leading + ">} : (" + row + ") -> " + x;
  std::string reduce = "{dims = array<i64: " + last + ">, kind = \"sum\"} : (" + x + ") -> " + row;
  auto binary = [](const std::string &type) {
    return " : (" + type + ", " + type + ") -> " + type;
  };
  auto scalar = [&](const std::string &name, const std::string &value) {
    return "%" + name + "_0 = lm.constant dense<" + value + "> : tensor<f32>\n%" + name +
           " = lm.broadcast %" + name + "_0 {dims = array<i64>} : (tensor<f32>) -> " + row + "\n";
  };
  return "func.func @f(%x: " + x + ", %w: " + c + ", %b: " + c + ") -> (" + x + ", " + row + ", " +
         row + ") " + dims + " {\n" + scalar("n", std::to_string(1.0 / columns)) +
         scalar("eps", "1.0e-5") + "%sum = lm.reduce %x " + reduce + "\n%mean = lm.mul %sum, %n" +
         binary(row) + "\n%m = lm.broadcast %mean " + perRow + "\n%d = lm.sub %x, %m" + binary(x) +
         "\n%dd = lm.mul %d, %d" + binary(x) + "\n%ss = lm.reduce %dd " + reduce +
         "\n%var = lm.mul %ss, %n" + binary(row) + "\n%e = lm.add %var, %eps" + binary(row) +
         "\n%rstd = lm.rsqrt %e : (" + row + ") -> " + row + "\n%r = lm.broadcast %rstd " + perRow +
         "\n%norm = lm.mul %d, %r" + binary(x) +
         "\n%wb = lm.broadcast %w {dims = array<i64: " + last + ">} : (" + c + ") -> " + x +
         "\n%bb = lm.broadcast %b {dims = array<i64: " + last + ">} : (" + c + ") -> " + x +
         "\n%scaled = lm.mul %norm, %wb" + binary(x) + "\n%y = lm.add %scaled, %bb" + binary(x) +
         "\nreturn %y, %mean, %rstd : " + x + ", " + row + ", " + row + "\n}\n";
}

} // namespace

const std::vector<Source> &sources() {
  static const std::vector<Source> list = {
      {"gelu",
       R"(
func.func @f(%x: tensor<3x343xf32>) -> tensor<3x343xf32> {
  %y = lm.gelu %x {approximate} : (tensor<3x343xf32>) -> tensor<3x343xf32>
  return %y : tensor<3x343xf32>
})",
       {}},
      {"gelu_exact_bf16",
       R"(
func.func @f(%x: tensor<7x19xbf16>) -> tensor<7x19xbf16> {
  %y = lm.gelu %x : (tensor<7x19xbf16>) -> tensor<7x19xbf16>
  return %y : tensor<7x19xbf16>
})",
       {},
       4e-3}, // one rounding to 8 bits
      {"adamw",
       R"(
!t = tensor<7x147xf32>
!s = tensor<f32>
func.func @f(%p: !t {lm.name = "p", lm.role = "parameter"}, %g: !t {lm.name = "g", lm.role = "input"},
             %m: !t {lm.name = "m", lm.role = "moment"}, %v: !t {lm.name = "v", lm.role = "moment"},
             %lr: !s {lm.name = "lr", lm.role = "input"}, %scale: !s {lm.name = "scale", lm.role = "input"},
             %c1: !s {lm.name = "c1", lm.role = "input"}, %c2: !s {lm.name = "c2", lm.role = "input"},
             %ok: tensor<i1> {lm.name = "ok", lm.role = "input"})
    -> (!t {lm.updates = 0 : i64}, !t {lm.updates = 2 : i64}, !t {lm.updates = 3 : i64}) {
  %y:3 = lm.adamw %p, %g, %m, %v, %lr, %scale, %c1, %c2, %ok
      {beta1 = 0.9 : f64, beta2 = 0.95 : f64, eps = 1.0e-8 : f64, decay = 0.1 : f64}
      : (!t, !t, !t, !t, !s, !s, !s, !s, tensor<i1>) -> (!t, !t, !t)
  return %y#0, %y#1, %y#2 : !t, !t, !t
})",
       {}},
      {"residual",
       R"(
!t = tensor<2x?x33xf32, #lm.dims<"T">>
func.func @f(%x: !t, %y: !t, %bias: tensor<33xf32>) -> !t attributes {lm.ranges = {T = array<i64: 1, 64>}} {
  %b = lm.broadcast %bias {dims = array<i64: 2>} : (tensor<33xf32>) -> !t
  %a = lm.add %y, %b : (!t, !t) -> !t
  %z = lm.add %x, %a : (!t, !t) -> !t
  return %z : !t
})",
       {{"T", 5}}},
      {"flat_symbolic",
       R"(
!t = tensor<?x?xf32, #lm.dims<"B", "T">>
func.func @f(%x: !t, %y: !t) -> !t attributes {lm.ranges = {B = array<i64: 1, 64>, T = array<i64: 1, 512>}} {
  %z = lm.mul %x, %y : (!t, !t) -> !t
  return %z : !t
})",
       {{"B", 9}, {"T", 131}}},
      {"rope",
       R"(
!x = tensor<2x?x3x10xf32, #lm.dims<"T">>
!p = tensor<?xf32, #lm.dims<"T">>
func.func @f(%x: !x, %freq: tensor<5xf32>) -> !x attributes {lm.ranges = {T = array<i64: 1, 64>}} {
  %p = lm.iota {dim = 0 : i64} : () -> !p
  %y = lm.rope %x, %p, %freq : (!x, !p, tensor<5xf32>) -> !x
  return %y : !x
})",
       {{"T", 7}}},
      {"dropout",
       R"(
!x = tensor<3x5x67xf32>
!i = tensor<3x5x67xi32>
func.func @f(%x: !x, %k0: tensor<i32>, %k1: tensor<i32>, %step: tensor<i32>) -> (!i, !x) {
  %bits = lm.random_bits %k0, %k1, %step {stream = 3 : i32} : (tensor<i32>, tensor<i32>, tensor<i32>) -> !i
  %limit = lm.constant dense<-1288490189> : !i
  %keep = lm.compare %bits, %limit {predicate = "ge"} : (!i, !i) -> tensor<3x5x67xi1>
  %zero = lm.constant dense<0.0> : !x
  %y = lm.select %keep, %x, %zero : (tensor<3x5x67xi1>, !x, !x) -> !x
  return %bits, %y : !i, !x
})",
       {},
       0}, // bits are exact
      {"views",
       R"(
func.func @f(%x: tensor<5x7x6xf32>, %id: tensor<3xi32>) -> (tensor<6x5x9xf32>, tensor<3x6xf32>) {
  %s = lm.slice %x {dim = 1 : i64, start = 2 : i64, size = 4 : i64} : (tensor<5x7x6xf32>) -> tensor<5x4x6xf32>
  %t = lm.transpose %s {permutation = array<i64: 2, 0, 1>} : (tensor<5x4x6xf32>) -> tensor<6x5x4xf32>
  %c = lm.constant dense<[1.5, -2.0, 0.25, 3.0, 0.1]> : tensor<5xf32>
  %b = lm.broadcast %c {dims = array<i64: 2>} : (tensor<5xf32>) -> tensor<6x5x5xf32>
  %y = lm.concat %t, %b {dim = 2 : i64} : (tensor<6x5x4xf32>, tensor<6x5x5xf32>) -> tensor<6x5x9xf32>
  %r = lm.slice %x {dim = 1 : i64, start = 0 : i64, size = 1 : i64} : (tensor<5x7x6xf32>) -> tensor<5x1x6xf32>
  %table = lm.reshape %r : (tensor<5x1x6xf32>) -> tensor<5x6xf32>
  %g = lm.gather %table, %id : (tensor<5x6xf32>, tensor<3xi32>) -> tensor<3x6xf32>
  return %y, %g : tensor<6x5x9xf32>, tensor<3x6xf32>
})",
       {}},
      {"causal_convolution",
       R"(
!x = tensor<?x?x37xf32, #lm.dims<"B", "T">>
func.func @f(%x: !x, %w: tensor<4x1x37xf32>, %b: tensor<37xf32>) -> !x attributes {lm.ranges = {B = array<i64: 1, 4>, T = array<i64: 1, 64>}} {
  %y = lm.convolution %x, %w {groups = 37 : i64, pad_low = array<i64: 3>} : (!x, tensor<4x1x37xf32>) -> !x
  %c = lm.broadcast %b {dims = array<i64: 2>} : (tensor<37xf32>) -> !x
  %a = lm.add %y, %c : (!x, !x) -> !x
  %z = lm.silu %a : (!x) -> !x
  return %z : !x
})",
       {{"B", 2}, {"T", 9}}},
      {"convolution_bf16",
       R"(
func.func @f(%x: tensor<2x9x5x6xbf16>, %w: tensor<3x2x6x10xbf16>, %d: tensor<3x2x1x6xbf16>)
    -> (tensor<2x5x5x10xf32>, tensor<2x5x5x6xf32>) {
  %y = lm.convolution %x, %w {strides = array<i64: 2, 1>, pad_low = array<i64: 1, 0>, pad_high = array<i64: 1, 1>}
    : (tensor<2x9x5x6xbf16>, tensor<3x2x6x10xbf16>) -> tensor<2x5x5x10xf32>
  %z = lm.convolution %x, %d {groups = 6 : i64, strides = array<i64: 2, 1>, pad_low = array<i64: 1, 0>, pad_high = array<i64: 1, 1>}
    : (tensor<2x9x5x6xbf16>, tensor<3x2x1x6xbf16>) -> tensor<2x5x5x6xf32>
  return %y, %z : tensor<2x5x5x10xf32>, tensor<2x5x5x6xf32>
})",
       {}},
      {"pools",
       R"(
!x = tensor<2x?x7x19xf32, #lm.dims<"T">>
!y = tensor<2x?x4x19xf32, #lm.dims<"T">>
func.func @f(%x: !x, %h: tensor<2x9x19xbf16>) -> (!y, !y, tensor<2x5x19xbf16>) attributes {lm.ranges = {T = array<i64: 1, 64>}} {
  %y = lm.max_pool %x {size = array<i64: 3, 2>, strides = array<i64: 1, 2>, pad_low = array<i64: 2, 0>, pad_high = array<i64: 0, 1>} : (!x) -> !y
  %z = lm.average_pool %x {size = array<i64: 3, 2>, strides = array<i64: 1, 2>, pad_low = array<i64: 1, 1>, pad_high = array<i64: 1, 0>} : (!x) -> !y
  %b = lm.max_pool %h {size = array<i64: 3>, strides = array<i64: 2>, pad_low = array<i64: 1>, pad_high = array<i64: 1>} : (tensor<2x9x19xbf16>) -> tensor<2x5x19xbf16>
  return %y, %z, %b : !y, !y, tensor<2x5x19xbf16>
})",
       {{"T", 5}}},
      {"softmax_short",
       R"(
func.func @f(%x: tensor<7x77xf32>) -> tensor<7x77xf32> {
  %y = lm.softmax %x : (tensor<7x77xf32>) -> tensor<7x77xf32>
  return %y : tensor<7x77xf32>
})",
       {}},
      {"softmax_long",
       R"(
func.func @f(%x: tensor<3x1111xf32>) -> tensor<3x1111xf32> {
  %y = lm.softmax %x : (tensor<3x1111xf32>) -> tensor<3x1111xf32>
  return %y : tensor<3x1111xf32>
})",
       {}},
      // Sums of rows in one launch: a block each, for the longest; a warp each.
      {"joined_rows",
       R"(
func.func @f(%x0: tensor<3x1111xf32>, %x1: tensor<2x2x600xf32>, %x2: tensor<70xf32>, %x3: tensor<5x33xf32>) -> (tensor<3xf32>, tensor<2x2xf32>, tensor<f32>, tensor<5xf32>) {
  %s0 = lm.mul %x0, %x0 : (tensor<3x1111xf32>, tensor<3x1111xf32>) -> tensor<3x1111xf32>
  %y0 = lm.reduce %s0 {dims = array<i64: 1>, kind = "sum"} : (tensor<3x1111xf32>) -> tensor<3xf32>
  %s1 = lm.mul %x1, %x1 : (tensor<2x2x600xf32>, tensor<2x2x600xf32>) -> tensor<2x2x600xf32>
  %y1 = lm.reduce %s1 {dims = array<i64: 2>, kind = "sum"} : (tensor<2x2x600xf32>) -> tensor<2x2xf32>
  %s2 = lm.mul %x2, %x2 : (tensor<70xf32>, tensor<70xf32>) -> tensor<70xf32>
  %y2 = lm.reduce %s2 {dims = array<i64: 0>, kind = "sum"} : (tensor<70xf32>) -> tensor<f32>
  %s3 = lm.mul %x3, %x3 : (tensor<5x33xf32>, tensor<5x33xf32>) -> tensor<5x33xf32>
  %y3 = lm.reduce %s3 {dims = array<i64: 1>, kind = "sum"} : (tensor<5x33xf32>) -> tensor<5xf32>
  return %y0, %y1, %y2, %y3 : tensor<3xf32>, tensor<2x2xf32>, tensor<f32>, tensor<5xf32>
})",
       {}},
      {"joined_rows_short",
       R"(
func.func @f(%x0: tensor<3x11xf32>, %x1: tensor<2x2x65xf32>, %x2: tensor<512xf32>, %x3: tensor<1x2xf32>) -> (tensor<3xf32>, tensor<2x2xf32>, tensor<f32>, tensor<1xf32>) {
  %s0 = lm.mul %x0, %x0 : (tensor<3x11xf32>, tensor<3x11xf32>) -> tensor<3x11xf32>
  %y0 = lm.reduce %s0 {dims = array<i64: 1>, kind = "sum"} : (tensor<3x11xf32>) -> tensor<3xf32>
  %s1 = lm.mul %x1, %x1 : (tensor<2x2x65xf32>, tensor<2x2x65xf32>) -> tensor<2x2x65xf32>
  %y1 = lm.reduce %s1 {dims = array<i64: 2>, kind = "sum"} : (tensor<2x2x65xf32>) -> tensor<2x2xf32>
  %s2 = lm.mul %x2, %x2 : (tensor<512xf32>, tensor<512xf32>) -> tensor<512xf32>
  %y2 = lm.reduce %s2 {dims = array<i64: 0>, kind = "sum"} : (tensor<512xf32>) -> tensor<f32>
  %s3 = lm.mul %x3, %x3 : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x2xf32>
  %y3 = lm.reduce %s3 {dims = array<i64: 1>, kind = "sum"} : (tensor<1x2xf32>) -> tensor<1xf32>
  return %y0, %y1, %y2, %y3 : tensor<3xf32>, tensor<2x2xf32>, tensor<f32>, tensor<1xf32>
})",
       {}},
      // Two bodies, f32 in place and bf16, ends of all kinds.
      {"joined_maps",
       R"(
!b = tensor<7x5xbf16>
func.func @f(%a: tensor<1027xf32> {lm.name = "a", lm.role = "state"}, %b: tensor<3x683xf32> {lm.name = "b", lm.role = "state"},
             %c: tensor<1xf32> {lm.name = "c", lm.role = "state"}, %d: !b, %e: tensor<1024xbf16>, %s: tensor<f32>)
    -> (tensor<1027xf32> {lm.updates = 0 : i64}, tensor<3x683xf32> {lm.updates = 1 : i64}, tensor<1xf32> {lm.updates = 2 : i64}, !b, tensor<1024xbf16>) {
  %sa = lm.broadcast %s {dims = array<i64>} : (tensor<f32>) -> tensor<1027xf32>
  %ya = lm.mul %a, %sa : (tensor<1027xf32>, tensor<1027xf32>) -> tensor<1027xf32>
  %sb = lm.broadcast %s {dims = array<i64>} : (tensor<f32>) -> tensor<3x683xf32>
  %yb = lm.mul %b, %sb : (tensor<3x683xf32>, tensor<3x683xf32>) -> tensor<3x683xf32>
  %sc = lm.broadcast %s {dims = array<i64>} : (tensor<f32>) -> tensor<1xf32>
  %yc = lm.mul %c, %sc : (tensor<1xf32>, tensor<1xf32>) -> tensor<1xf32>
  %yd = lm.neg %d : (!b) -> !b
  %ye = lm.neg %e : (tensor<1024xbf16>) -> tensor<1024xbf16>
  return %ya, %yb, %yc, %yd, %ye : tensor<1027xf32>, tensor<3x683xf32>, tensor<1xf32>, !b, tensor<1024xbf16>
})",
       {}},
      {"softmax_symbolic",
       R"(
!t = tensor<?x?xf32, #lm.dims<"B", "N">>
func.func @f(%x: !t) -> !t attributes {lm.ranges = {B = array<i64: 1, 8>, N = array<i64: 1, 4096>}} {
  %y = lm.softmax %x : (!t) -> !t
  return %y : !t
})",
       {{"B", 3}, {"N", 65}}},
      {"layer_norm_short",
       layerNorm("3x?", "attributes {lm.ranges = {T = array<i64: 1, 64>}}", 65,
                 ", #lm.dims<\"T\">"),
       {{"T", 5}}},
      {"layer_norm_long", layerNorm("2x3", "", 768, ""), {}},
      {"rms_norm",
       R"(
func.func @f(%x: tensor<5x130xf32>, %w: tensor<130xf32>) -> tensor<5x130xf32> {
  %y = lm.rms_norm %x, %w {eps = 1.0e-5 : f64} : (tensor<5x130xf32>, tensor<130xf32>) -> tensor<5x130xf32>
  return %y : tensor<5x130xf32>
})",
       {}},
      {"cross_entropy",
       R"(
!x = tensor<2x?x1237xf32, #lm.dims<"T">>
!i = tensor<2x?xi32, #lm.dims<"T">>
!l = tensor<2x?xf32, #lm.dims<"T">>
func.func @f(%x: !x, %t: !i) -> !l attributes {lm.ranges = {T = array<i64: 1, 64>}} {
  %y = lm.cross_entropy %x, %t : (!x, !i) -> !l
  return %y : !l
})",
       {{"T", 3}}},
  };
  return list;
}

Program windowStep(Context &context) {
  auto module = context.parse(R"(
!x = tensor<2x9x7x6xf64>
!h = tensor<2x5x8x9xf64>
!p = tensor<2x3x4x9xf64>
func.func @loss(%x: !x {lm.name = "x", lm.role = "parameter"}, %w: tensor<3x2x6x9xf64> {lm.name = "w", lm.role = "parameter"},
                %g: tensor<2x1x3x9xf64> {lm.name = "g", lm.role = "parameter"},
                %d: tensor<3x2x1x9xf64> {lm.name = "d", lm.role = "parameter"}) -> tensor<f64> {
  %h = lm.convolution %x, %w {strides = array<i64: 2, 1>, dilations = array<i64: 1, 2>, pad_low = array<i64: 1, 2>, pad_high = array<i64: 1, 1>}
    : (!x, tensor<3x2x6x9xf64>) -> !h
  %a = lm.silu %h : (!h) -> !h
  %c = lm.convolution %a, %d {groups = 9 : i64, pad_low = array<i64: 2, 1>} : (!h, tensor<3x2x1x9xf64>) -> !h
  %m = lm.max_pool %c {size = array<i64: 3, 2>, strides = array<i64: 2, 2>, pad_low = array<i64: 1, 0>, pad_high = array<i64: 1, 0>} : (!h) -> !p
  %s = lm.convolution %m, %g {groups = 3 : i64, pad_low = array<i64: 1, 0>} : (!p, tensor<2x1x3x9xf64>) -> !p
  %n = lm.average_pool %s {size = array<i64: 2, 3>, pad_low = array<i64: 0, 1>, pad_high = array<i64: 1, 1>} : (!p) -> !p
  %z = lm.mul %n, %n : (!p, !p) -> !p
  %y = lm.reduce %z {kind = "sum", dims = array<i64: 0, 1, 2, 3>} : (!p) -> tensor<f64>
  return %y : tensor<f64>
})");
  EXPECT_TRUE(module && context.run(*module, createDifferentiate())) << context.errors;
  mlir::func::FuncOp function = functionOf(*module);
  mlir::Builder b(&context.context);
  for (unsigned i = 0; i < function.getNumResults(); ++i) { // outputs: no optimizer takes them
    function.setResultAttr(i, kName, b.getStringAttr("r" + std::to_string(i)));
    function.setResultAttr(i, kRole, b.getStringAttr("output"));
  }
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream);
  return makeProgram(context, {"window_step", text, {}, 1e-9}, "window_step");
}

std::vector<Program> trainingSteps(Context &context) {
  std::vector<Program> programs;
  for (bool llama : {false, true}) {
    auto module =
        llama ? llamaBlock(context.context, {2, 5, 4, 2, 2, 7, 11}) : gptBlock(context.context);
    OptimizerUpdateOptions update;
    update.gradClip = 0.5;
    EXPECT_TRUE(context.run(*module, createInferShapes()) &&
                context.run(*module, createDifferentiate()) &&
                context.run(*module, createOptimizerUpdate(update)))
        << context.errors;
    std::string text;
    llvm::raw_string_ostream stream(text);
    module->print(stream);
    std::string name = llama ? "llama_step" : "gpt_step";
    programs.push_back(makeProgram(context, {name, text, {}, 1e-9}, name));
  }
  return programs;
}

} // namespace lmc::test
