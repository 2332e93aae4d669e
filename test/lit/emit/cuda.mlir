// A map kernel as CUDA C++ behind the device library, and through NVRTC where it is installed.
// RUN: lmc compile %s --target cuda:sm_90a --emit=cuda | FileCheck %s
// RUN: %if nvrtc %{ lmc compile %s --target cuda:sm_90a --emit=ptx | FileCheck %s --check-prefix=PTX %}
// CHECK: namespace lmc {
// CHECK: extern "C" __global__ void __launch_bounds__(256)
// CHECK-NEXT: map_0(const float *x0, const float *x1, float *y0)
// CHECK: lmc::loadVector<4>(x0, first, end)
// CHECK: lmc::storeVector<4>(y0, first, end,
// PTX: .target sm_90a
// PTX: .visible .entry map_0(
// PTX: ld.global{{.*}}.v4.{{[fu]}}32
// PTX: st.global.v4.{{[fu]}}32
func.func @forward(%x: tensor<4x64xf32> {lm.name = "x", lm.role = "input"},
                   %y: tensor<4x64xf32> {lm.name = "y", lm.role = "input"})
    -> (tensor<4x64xf32> {lm.name = "z", lm.role = "output"}) {
  %sum = lm.add %x, %y : (tensor<4x64xf32>, tensor<4x64xf32>) -> tensor<4x64xf32>
  %z = lm.tanh %sum : (tensor<4x64xf32>) -> tensor<4x64xf32>
  return %z : tensor<4x64xf32>
}
