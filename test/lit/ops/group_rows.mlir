// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @group_rows_0
// CHECK: lm.group_rows %{{.*}} {groups = 4 : i64} : (tensor<2x?xi32, #lm.dims<"T">>) -> (tensor<2x?xi32, #lm.dims<"T">>, tensor<5xi32>)
func.func @group_rows_0(%ids: tensor<2x?xi32, #lm.dims<"T">>) -> tensor<5xi32> {
  %order, %starts = lm.group_rows %ids {groups = 4} : (tensor<2x?xi32, #lm.dims<"T">>) -> (tensor<2x?xi32, #lm.dims<"T">>, tensor<5xi32>)
  return %starts : tensor<5xi32>
}

// -----

func.func @refused(%ids: tensor<6xi32>) -> tensor<1xi32> {
  // expected-error@+2 {{group_rows needs at least 1 group, got 0}}
  // expected-error@+1 {{failed to infer returned types}}
  %order, %starts = lm.group_rows %ids {groups = 0} : (tensor<6xi32>) -> (tensor<6xi32>, tensor<1xi32>)
  return %starts : tensor<1xi32>
}
