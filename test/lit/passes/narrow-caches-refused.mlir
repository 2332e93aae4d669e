// RUN: lmc-opt %s -lm-narrow-caches=format=q8_0 -split-input-file -verify-diagnostics

func.func @twice(%new: tensor<1x1x2x8xf32>, %past: tensor<i32>,
                 // expected-error@+1 {{a cache in q8_0 must be read through one lm.cache_append}}
                 %k: tensor<1x6x2x8xf32> {lm.name = "k", lm.role = "cache"}) -> (tensor<1x6x2x8xf32>, tensor<1x6x2x8xf32>) {
  %y = lm.cache_append %k, %new, %past : (tensor<1x6x2x8xf32>, tensor<1x1x2x8xf32>, tensor<i32>) -> tensor<1x6x2x8xf32>
  return %y, %k : tensor<1x6x2x8xf32>, tensor<1x6x2x8xf32>
}

// -----

func.func @other(%new: tensor<1x1x2x8xf32>, %past: tensor<i32>,
                 %k: tensor<1x6x2x8xf32> {lm.name = "k", lm.role = "cache"}) -> (tensor<1x6x2x8xf32>, tensor<1x6x2x8xf32>) {
  // expected-error@+1 {{a cache in q8_0 is for lm.attention, and lm.exp reads it; cache f16 or f32}}
  %y = lm.cache_append %k, %new, %past : (tensor<1x6x2x8xf32>, tensor<1x1x2x8xf32>, tensor<i32>) -> tensor<1x6x2x8xf32>
  %z = lm.exp %y : (tensor<1x6x2x8xf32>) -> tensor<1x6x2x8xf32>
  return %y, %z : tensor<1x6x2x8xf32>, tensor<1x6x2x8xf32>
}
