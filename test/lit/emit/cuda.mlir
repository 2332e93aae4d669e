// A map kernel as CUDA C++ behind the device library, and through NVRTC where it is installed.
// RUN: lmc compile %s --target cuda:sm_90a --emit=cuda | FileCheck %s
// RUN: %if nvrtc %{ lmc compile %s --target cuda:sm_90a --emit=ptx | FileCheck %s --check-prefix=PTX %}
// RUN: %if nvrtc %{ lmc compile %s --target cuda:sm_100 --explain=resources | FileCheck %s --check-prefix=RESOURCES %} %else %{ not lmc compile %s --target cuda:sm_100 --explain=resources 2>&1 | FileCheck %s --check-prefix=MISSING %}
// RUN: not lmc compile %s --target cuda:sm_75 --explain=resources 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not lmc compile %s --explain=resources 2>&1 | FileCheck %s --check-prefix=CPU
// CHECK: namespace lmc {
// CHECK: extern "C" __global__ void __launch_bounds__(256)
// CHECK-NEXT: map_0(const float *x0, const float *x1, float *y0)
// CHECK: lmc::loadVector<4>(x0, first, end)
// CHECK: lmc::storeVector<4>(y0, first, end,
// PTX: .target sm_90a
// PTX: .visible .entry map_0(
// PTX: ld.global{{.*}}.v4.{{[fu]}}32
// PTX: st.global.v4.{{[fu]}}32
// RESOURCES: B200 SXM (sm_100): 8 TB/s, 2250 TFLOP/s bf16 in matrix units, {{.*}} (NVIDIA Blackwell Architecture Technical Brief)
// RESOURCES-NEXT: T exponentials/s: 148 multiprocessors
// RESOURCES-NEXT: map_0 map sum (1 launch): registers {{[0-9]+}}, spills 0/0, local 0, shared 0+0, threads 256, blocks/SM 8; HMMA 0, {{.*}} STL 0; a launch: read 2048, written 1024, flops 512, exponentials 256, at least 0.000 us (memory)
// MISSING: error: --explain=resources is not possible: {{.*}}; --emit=cuda works without it
// UNKNOWN: error: limits and peaks of 'sm_75' are not known; use one of sm_80, sm_90, sm_100
// CPU: error: --explain=resources tells of kernels for a GPU; give --target cuda:sm_80, cuda:sm_90a or cuda:sm_100 instead of cpu
func.func @forward(%x: tensor<4x64xf32> {lm.name = "x", lm.role = "input"},
                   %y: tensor<4x64xf32> {lm.name = "y", lm.role = "input"})
    -> (tensor<4x64xf32> {lm.name = "z", lm.role = "output"}) {
  %sum = lm.add %x, %y : (tensor<4x64xf32>, tensor<4x64xf32>) -> tensor<4x64xf32> loc("sum")
  %z = lm.tanh %sum : (tensor<4x64xf32>) -> tensor<4x64xf32>
  return %z : tensor<4x64xf32>
}
