// RUN: not lmc-opt %s -lm-verify-phase=phase=primitives -split-input-file 2>&1 | FileCheck %s --check-prefix=PRIMITIVES
// RUN: not lmc-opt %s -lm-verify-phase=phase=graph -split-input-file 2>&1 | FileCheck %s --check-prefix=GRAPH
// RUN: not lmc-opt %s -lm-verify-phase=phase=kernels -split-input-file 2>&1 | FileCheck %s --check-prefix=KERNELS
// RUN: not lmc-opt %s -lm-verify-phase=phase=plan -split-input-file 2>&1 | FileCheck %s --check-prefix=PLAN
// RUN: not lmc-opt %s -lm-verify-phase=phase=sometime -split-input-file 2>&1 | FileCheck %s --check-prefix=UNKNOWN

// PRIMITIVES-NOT: 'lm.exp' must not
// PRIMITIVES: error: {{.*}}'lm.softmax' must not be left in the phase 'primitives' (model path 'layers.0.probs')
// PRIMITIVES: error: 'lm.kernel' must not be left in the phase 'primitives'
// PRIMITIVES: error: 'arith.constant' must not be left in the phase 'primitives'
// GRAPH-NOT: 'lm.exp' must not
// GRAPH-NOT: 'lm.softmax' must not
// GRAPH: error: 'lm.kernel' must not be left in the phase 'graph'
// GRAPH: error: 'arith.constant' must not be left in the phase 'graph'
// KERNELS: error: 'lm.exp' must not be left in the phase 'kernels'
// KERNELS: error: {{.*}}'lm.softmax' must not be left in the phase 'kernels'
// KERNELS-NOT: 'lm.kernel' must not
// PLAN: error: 'func.func' must not be left in the phase 'plan'
// UNKNOWN: error: unknown phase 'sometime'
func.func @primitives(%x: tensor<3xf32>) -> tensor<3xf32> {
  %y = lm.exp %x : (tensor<3xf32>) -> tensor<3xf32>
  return %y : tensor<3xf32>
}

// -----

func.func @composite(%x: tensor<3xf32>) -> tensor<3xf32> {
  %y = lm.softmax %x : (tensor<3xf32>) -> tensor<3xf32> loc("layers.0.probs")
  return %y : tensor<3xf32>
}

// -----

func.func @kernel(%x: tensor<3xf32>) -> tensor<3xf32> {
  %y = lm.kernel "map"(%x) : (tensor<3xf32>) -> tensor<3xf32> {
  ^bb0(%k: tensor<3xf32>):
    %e = lm.exp %k : (tensor<3xf32>) -> tensor<3xf32>
    lm.yield %e : tensor<3xf32>
  }
  return %y : tensor<3xf32>
}

// -----

func.func @foreign() {
  %c = arith.constant 1 : index
  return
}
