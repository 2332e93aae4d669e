// RUN: lmc-opt %s -lm-optimizer-update -split-input-file -verify-diagnostics
// RUN: not lmc-opt %s -lm-optimizer-update=accumulate=0 -split-input-file 2>&1 | FileCheck %s --check-prefix=ZERO
// RUN: not lmc-opt %s -lm-optimizer-update=schedule=step -split-input-file 2>&1 | FileCheck %s --check-prefix=KIND

// ZERO: error: accumulate must be at least 1, got 0
// KIND: error: unknown schedule 'step'

// expected-error@+1 {{no differentiated function @loss}}
module {
}

// -----

// expected-error@+1 {{there are more parameters than gradients; differentiate first}}
func.func @loss(%w: tensor<f32> {lm.role = "parameter", lm.name = "w"}) -> tensor<f32> {
  return %w : tensor<f32>
}

// -----

// expected-error@+1 {{parameter 0 has no lm.name}}
func.func @loss(%w: tensor<f32> {lm.role = "parameter"}) -> (tensor<f32>, tensor<f32> {lm.role = "gradient"}) {
  return %w, %w : tensor<f32>, tensor<f32>
}

// -----

// expected-error@+1 {{there are no parameters to train}}
func.func @loss(%w: tensor<f32>) -> tensor<f32> {
  return %w : tensor<f32>
}
