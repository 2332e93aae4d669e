// RUN: lmc-opt %s -lm-infer-shapes=bind=T=3 -split-input-file -verify-diagnostics | FileCheck %s

// A bound symbol becomes its number everywhere and loses its range; others stay.
// CHECK-LABEL: func.func @bound(
// CHECK-SAME:    %{{.*}}: tensor<3x4xf32>, %{{.*}}: tensor<?x4xf32, #lm.dims<"B">>)
// CHECK-SAME:    -> (tensor<3x6xf32>, tensor<?xf32, #lm.dims<"B">>)
// CHECK-SAME:    lm.ranges = {B = array<i64: 2, 9>}
// CHECK:         lm.iota {{.*}} -> tensor<3x6xf32>
// CHECK:         lm.matmul {{.*}} -> tensor<3x6xf32>
func.func @bound(%x: tensor<?x4xf32, #lm.dims<"T">>, %z: tensor<?x4xf32, #lm.dims<"B">>)
    -> (tensor<?x6xf32, #lm.dims<"T">>, tensor<?xf32, #lm.dims<"B">>)
    attributes {lm.ranges = {T = array<i64: 1, 8>, B = array<i64: 2, 9>}} {
  %w = lm.constant dense<1.0> : tensor<4x6xf32>
  %b = lm.iota {dim = 1 : i64} : () -> tensor<?x6xf32, #lm.dims<"T">>
  %y = lm.matmul %x, %w : (tensor<?x4xf32, #lm.dims<"T">>, tensor<4x6xf32>) -> tensor<?x6xf32, #lm.dims<"T">>
  %s = lm.add %y, %b : (tensor<?x6xf32, #lm.dims<"T">>, tensor<?x6xf32, #lm.dims<"T">>) -> tensor<?x6xf32, #lm.dims<"T">>
  %r = lm.reduce %z {dims = array<i64: 1>, kind = "sum"} : (tensor<?x4xf32, #lm.dims<"B">>) -> tensor<?xf32, #lm.dims<"B">>
  return %s, %r : tensor<?x6xf32, #lm.dims<"T">>, tensor<?xf32, #lm.dims<"B">>
}

// -----

// expected-error@+1 {{T = 3 is outside its range [4, 8]}}
func.func @outside(%x: tensor<?xf32, #lm.dims<"T">>) attributes {lm.ranges = {T = array<i64: 4, 8>}} {
  return
}

// -----

func.func @unranged() {
  // expected-error@+1 {{symbol 'S' has neither a number nor a range in lm.ranges}}
  %y = lm.iota {dim = 0 : i64} : () -> tensor<?xf32, #lm.dims<"S">>
  return
}

// -----

// expected-error@+1 {{lm.ranges: S must be array<i64: least, largest> with 1 <= least <= largest}}
func.func @reversed(%x: tensor<?xf32, #lm.dims<"S">>) attributes {lm.ranges = {S = array<i64: 8, 1>}} {
  return
}

// -----

// expected-error@+1 {{lm.ranges: S must be array<i64: least, largest> with 1 <= least <= largest}}
func.func @no_range(%x: tensor<?xf32, #lm.dims<"S">>) attributes {lm.ranges = {S = 8}} {
  return
}

// -----

// expected-error@+1 {{symbol 'S' has neither a number nor a range in lm.ranges}}
func.func @unranged_argument(%x: tensor<?xf32, #lm.dims<"S">>) {
  return
}

// -----

// expected-error@+1 {{symbol '?' has neither a number nor a range in lm.ranges}}
func.func @unnamed(%x: tensor<?xf32>) {
  return
}

// -----

// expected-error@+1 {{has more than 2^48 elements}}
func.func @overflow(%x: tensor<?x4xf32, #lm.dims<"S">>) attributes {lm.ranges = {S = array<i64: 1, 9223372036854775807>}} {
  return
}
