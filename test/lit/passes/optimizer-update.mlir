// RUN: lmc-opt %s -lm-optimizer-update="grad-clip=1 weight-decay=0.25" | FileCheck %s --check-prefix=STEP
// RUN: lmc-opt %s -lm-optimizer-update="accumulate=4" | FileCheck %s --check-prefix=PARTS
// RUN: lmc-opt %s -lm-optimizer-update="schedule=cosine steps=10" | FileCheck %s --check-prefix=COSINE
// RUN: lmc-opt %s -lm-optimizer-update="schedule=linear steps=10 warmup-steps=2" | FileCheck %s --check-prefix=LINEAR
// RUN: lmc-opt %s -lm-optimizer-update="schedule=wsd steps=10 decay-steps=4" | FileCheck %s --check-prefix=WSD

// One step is one program; results that update a buffer name its argument. Rank 1 does not decay.
// STEP-LABEL: func.func @train_step(
// STEP-SAME:    %[[W:arg0]]: tensor<3x2xf32> {lm.name = "w", lm.role = "parameter"},
// STEP-SAME:    %[[B:arg1]]: tensor<2xf32> {lm.name = "b", lm.role = "parameter"},
// STEP-SAME:    %[[STEP:arg3]]: tensor<i32> {lm.name = "step", lm.role = "state"},
// STEP-SAME:    %arg4: tensor<3x2xf32> {lm.name = "adamw.m.w", lm.role = "moment"},
// STEP-SAME:    %arg5: tensor<3x2xf32> {lm.name = "adamw.v.w", lm.role = "moment"},
// STEP-SAME:    -> (tensor<f32> {lm.name = "loss", lm.role = "output"},
// STEP-SAME:        tensor<f32> {lm.name = "grad_norm", lm.role = "output"},
// STEP-SAME:        tensor<f32> {lm.name = "lr", lm.role = "output"},
// STEP-SAME:        tensor<3x2xf32> {lm.updates = 0 : i64}, tensor<3x2xf32> {lm.updates = 4 : i64},
// STEP-SAME:        tensor<3x2xf32> {lm.updates = 5 : i64}, tensor<2xf32> {lm.updates = 1 : i64},
// STEP-SAME:        tensor<i32> {lm.updates = 3 : i64})
// STEP:         %[[NORM:.*]] = lm.global_norm
// STEP:         lm.minimum
// STEP:         %[[OK:.*]] = lm.is_finite
// STEP:         lm.adamw %[[W]], {{.*}}, %[[OK]] {{.*}}decay = 2.500000e-01
// STEP:         lm.adamw %[[B]], {{.*}}, %[[OK]] {{.*}}decay = 0.000000e+00

// PARTS-LABEL: func.func @accumulate(
// PARTS-SAME:    {lm.name = "grad.w", lm.role = "gradient"}
// PARTS-SAME:    {lm.name = "loss_sum", lm.role = "state"}
// PARTS-NOT:     lm.adamw
// PARTS-LABEL: func.func @apply(
// PARTS-NOT:     lm.matmul
// PARTS:         lm.global_norm
// PARTS:         lm.adamw
// PARTS:         lm.adamw
// Sums start again from zero.
// PARTS:         lm.constant dense<0.000000e+00>

// COSINE: lm.cos
// LINEAR-NOT: lm.cos
// LINEAR: lm.compare {{.*}} {predicate = "le"}
// The last 4 of 10 steps.
// WSD: lm.constant dense<6.000000e+00> : tensor<f32>
func.func @loss(%w: tensor<3x2xf32> {lm.role = "parameter", lm.name = "w"},
                %b: tensor<2xf32> {lm.role = "parameter", lm.name = "b"},
                %dw: tensor<3x2xf32> {lm.role = "input", lm.name = "x"})
    -> (tensor<f32>, tensor<3x2xf32> {lm.role = "gradient"}, tensor<2xf32> {lm.role = "gradient"}) {
  %s = lm.reduce %w {dims = array<i64: 0, 1>, kind = "sum"} : (tensor<3x2xf32>) -> tensor<f32>
  return %s, %dw, %b : tensor<f32>, tensor<3x2xf32>, tensor<2xf32>
}
