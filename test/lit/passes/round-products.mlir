// RUN: lmc-opt %s -lm-round-products -canonicalize -cse -split-input-file | FileCheck %s

// Inference: weights come as bf16, norm weights and biases stay. The result, bias added, is kept
// rounded where another product follows, and stays f32 where it is the answer.
// CHECK-LABEL: func.func @forward
// CHECK-SAME:    %arg0: tensor<3x5xf32>
// CHECK-SAME:    %arg1: tensor<5x7xbf16> {lm.name = "w", lm.role = "parameter"}
// CHECK-SAME:    %arg2: tensor<7xf32> {lm.name = "b", lm.role = "parameter"}
// CHECK-SAME:    %arg3: tensor<7x4xbf16> {lm.name = "v", lm.role = "parameter"}
// CHECK-SAME:    -> (tensor<3x4xf32>
// CHECK:         %[[X:.*]] = lm.convert %arg0 : (tensor<3x5xf32>) -> tensor<3x5xbf16>
// CHECK:         %[[H:.*]] = lm.matmul %[[X]], %arg1 : {{.*}} -> tensor<3x7xf32>
// CHECK:         %[[B:.*]] = lm.add %[[H]], %{{.*}} : {{.*}} -> tensor<3x7xf32>
// CHECK:         %[[KEPT:.*]] = lm.convert %[[B]] : (tensor<3x7xf32>) -> tensor<3x7xbf16>
// CHECK:         %[[READ:.*]] = lm.convert %[[KEPT]] : (tensor<3x7xbf16>) -> tensor<3x7xf32>
// CHECK:         %[[G:.*]] = lm.gelu %[[READ]]
// CHECK:         %[[A:.*]] = lm.convert %[[G]] : (tensor<3x7xf32>) -> tensor<3x7xbf16>
// CHECK:         %[[Y:.*]] = lm.matmul %[[A]], %arg3 : {{.*}} -> tensor<3x4xf32>
// CHECK:         return %[[Y]] : tensor<3x4xf32>
func.func @forward(%x: tensor<3x5xf32> {lm.name = "x", lm.role = "input"},
                   %w: tensor<5x7xf32> {lm.name = "w", lm.role = "parameter"},
                   %b: tensor<7xf32> {lm.name = "b", lm.role = "parameter"},
                   %v: tensor<7x4xf32> {lm.name = "v", lm.role = "parameter"})
    -> (tensor<3x4xf32> {lm.name = "y"}) {
  %h = lm.matmul %x, %w : (tensor<3x5xf32>, tensor<5x7xf32>) -> tensor<3x7xf32>
  %s = lm.broadcast %b {dims = array<i64: 1>} : (tensor<7xf32>) -> tensor<3x7xf32>
  %t = lm.add %h, %s : (tensor<3x7xf32>, tensor<3x7xf32>) -> tensor<3x7xf32>
  %g = lm.gelu %t : (tensor<3x7xf32>) -> tensor<3x7xf32>
  %y = lm.matmul %g, %v : (tensor<3x7xf32>, tensor<7x4xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

// A parameter that one program changes keeps its type in all of them, and is rounded where it is
// read.
// CHECK-LABEL: func.func @step
// CHECK-SAME:    %arg1: tensor<5x7xf32>
// CHECK:         %[[W:.*]] = lm.convert %arg1 : (tensor<5x7xf32>) -> tensor<5x7xbf16>
// CHECK:         lm.matmul %{{.*}}, %[[W]]
// CHECK:         lm.sub %arg1, %{{.*}} : (tensor<5x7xf32>, tensor<5x7xf32>) -> tensor<5x7xf32>
func.func @step(%x: tensor<3x5xf32> {lm.name = "x", lm.role = "input"},
                %w: tensor<5x7xf32> {lm.name = "w", lm.role = "parameter"})
    -> (tensor<3x7xf32> {lm.name = "y"}, tensor<5x7xf32> {lm.updates = 1 : i64}) {
  %h = lm.matmul %x, %w : (tensor<3x5xf32>, tensor<5x7xf32>) -> tensor<3x7xf32>
  %d = lm.matmul %x, %h {transpose_a} : (tensor<3x5xf32>, tensor<3x7xf32>) -> tensor<5x7xf32>
  %n = lm.sub %w, %d : (tensor<5x7xf32>, tensor<5x7xf32>) -> tensor<5x7xf32>
  return %h, %n : tensor<3x7xf32>, tensor<5x7xf32>
}
// CHECK-LABEL: func.func @eval
// CHECK-SAME:    %arg1: tensor<5x7xf32>
func.func @eval(%x: tensor<3x5xf32> {lm.name = "x", lm.role = "input"},
                %w: tensor<5x7xf32> {lm.name = "w", lm.role = "parameter"})
    -> (tensor<3x7xf32> {lm.name = "y"}) {
  %h = lm.matmul %x, %w : (tensor<3x5xf32>, tensor<5x7xf32>) -> tensor<3x7xf32>
  return %h : tensor<3x7xf32>
}

// -----

// Caches are kept in bf16; lookups read it; attention reads and writes it, its statistics are f32.
// Views are taken of the rounded value.
// CHECK-LABEL: func.func @decode
// CHECK-SAME:    %arg1: tensor<9x8xbf16>
// CHECK-SAME:    %arg2: tensor<1x6x2x4xbf16>
// CHECK-SAME:    -> (tensor<1x2x8xf32> {lm.name = "y"}, tensor<1x6x2x4xbf16>
// CHECK:         %[[ROWS:.*]] = lm.gather %arg1, %arg0 : {{.*}} -> tensor<1x2x8xbf16>
// CHECK:         %[[NEW:.*]] = lm.reshape %[[ROWS]] : (tensor<1x2x8xbf16>) -> tensor<1x2x2x4xbf16>
// CHECK:         %[[CACHE:.*]] = lm.cache_append %arg2, %[[NEW]], %arg3
// CHECK:         %[[OUT:.*]], %{{.*}} = lm.attention %[[NEW]], %[[CACHE]], %[[CACHE]], %arg3
// CHECK-SAME:      -> (tensor<1x2x2x4xbf16>, tensor<1x2x2xf32>)
// CHECK:         lm.convert %{{.*}} : (tensor<1x2x{{.*}}xbf16>) -> tensor<1x2x{{.*}}xf32>
func.func @decode(%tokens: tensor<1x2xi32> {lm.name = "tokens", lm.role = "input"},
                  %e: tensor<9x8xf32> {lm.name = "e", lm.role = "parameter"},
                  %cache: tensor<1x6x2x4xf32> {lm.name = "k", lm.role = "cache"},
                  %past: tensor<i32> {lm.name = "past", lm.role = "input"})
    -> (tensor<1x2x8xf32> {lm.name = "y"}, tensor<1x6x2x4xf32> {lm.updates = 2 : i64}) {
  %x = lm.gather %e, %tokens : (tensor<9x8xf32>, tensor<1x2xi32>) -> tensor<1x2x8xf32>
  %k = lm.reshape %x : (tensor<1x2x8xf32>) -> tensor<1x2x2x4xf32>
  %c = lm.cache_append %cache, %k, %past : (tensor<1x6x2x4xf32>, tensor<1x2x2x4xf32>, tensor<i32>) -> tensor<1x6x2x4xf32>
  %o, %l = lm.attention %k, %c, %c, %past {causal, scale = 5.000000e-01 : f64} : (tensor<1x2x2x4xf32>, tensor<1x6x2x4xf32>, tensor<1x6x2x4xf32>, tensor<i32>) -> (tensor<1x2x2x4xf32>, tensor<1x2x2xf32>)
  %y = lm.reshape %o : (tensor<1x2x2x4xf32>) -> tensor<1x2x8xf32>
  return %y, %c : tensor<1x2x8xf32>, tensor<1x6x2x4xf32>
}

// -----

// A convolution is a product, but for a depthwise one, which has few terms. Windows in an adjoint are taken
// of the rounded value, as a forward pass takes them.
// CHECK-LABEL: func.func @convolutions
// CHECK-SAME:    %arg1: tensor<3x5x6xbf16> {lm.name = "w", lm.role = "parameter"}
// CHECK-SAME:    %arg2: tensor<4x1x6xf32> {lm.name = "d", lm.role = "parameter"}
// CHECK:         %[[X:.*]] = lm.convert %arg0 : (tensor<2x7x5xf32>) -> tensor<2x7x5xbf16>
// CHECK:         %[[Y:.*]] = lm.convolution %[[X]], %arg1 : {{.*}} -> tensor<2x5x6xf32>
// CHECK:         %[[KEPT:.*]] = lm.convert %[[Y]]
// CHECK:         %[[READ:.*]] = lm.convert %[[KEPT]]
// CHECK:         lm.convolution %[[READ]], %arg2 {{.*}} : (tensor<2x5x6xf32>, tensor<4x1x6xf32>) -> tensor<2x5x6xf32>
// CHECK:         %[[REPEATED:.*]] = lm.broadcast %[[X]] {{.*}} -> tensor<2x7x3x5xbf16>
// CHECK:         %[[WINDOWS:.*]] = lm.skew %[[REPEATED]] {{.*}} -> tensor<2x5x3x5xbf16>
// CHECK:         %[[ROWS:.*]] = lm.reshape %[[WINDOWS]] : {{.*}} -> tensor<10x15xbf16>
// CHECK:         lm.matmul %[[ROWS]], %{{.*}} {transpose_a} : (tensor<10x15xbf16>, tensor<10x6xbf16>) -> tensor<15x6xf32>
func.func @convolutions(%x: tensor<2x7x5xf32> {lm.name = "x", lm.role = "input"},
                        %w: tensor<3x5x6xf32> {lm.name = "w", lm.role = "parameter"},
                        %d: tensor<4x1x6xf32> {lm.name = "d", lm.role = "parameter"})
    -> (tensor<2x5x6xf32> {lm.name = "y"}, tensor<15x6xf32> {lm.name = "dw"}) {
  %y = lm.convolution %x, %w : (tensor<2x7x5xf32>, tensor<3x5x6xf32>) -> tensor<2x5x6xf32>
  %z = lm.convolution %y, %d {groups = 6 : i64, pad_low = array<i64: 3>} : (tensor<2x5x6xf32>, tensor<4x1x6xf32>) -> tensor<2x5x6xf32>
  %r = lm.broadcast %x {dims = array<i64: 0, 1, 3>} : (tensor<2x7x5xf32>) -> tensor<2x7x3x5xf32>
  %s = lm.skew %r {dim = 1 : i64, by = 2 : i64, slope = 1 : i64} : (tensor<2x7x3x5xf32>) -> tensor<2x5x3x5xf32>
  %a = lm.reshape %s : (tensor<2x5x3x5xf32>) -> tensor<10x15xf32>
  %b = lm.reshape %y : (tensor<2x5x6xf32>) -> tensor<10x6xf32>
  %dw = lm.matmul %a, %b {transpose_a} : (tensor<10x15xf32>, tensor<10x6xf32>) -> tensor<15x6xf32>
  return %z, %dw : tensor<2x5x6xf32>, tensor<15x6xf32>
}
