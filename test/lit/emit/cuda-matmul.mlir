// A product whose weight is rounded on its way to the tensor cores; a symbolic number of rows chooses
// between tiles and columns of a few rows when it runs.
// RUN: lmc compile %s --target cuda:sm_80 --emit=cuda | FileCheck %s
// RUN: %if nvrtc %{ lmc compile %s --target cuda:sm_80 --emit=ptx | FileCheck %s --check-prefix=PTX %}
// CHECK: // launch: grid ceil(T / 64) * ceil(100 / 64), block 128, shared memory 29184
// CHECK-NEXT: // layers.0 (matmul): 64 x 64 elements a block, tensor cores; up to 8 rows: 64 columns a block
// CHECK-NEXT: extern "C" __global__ void __launch_bounds__(128)
// CHECK-NEXT: matmul_0(const lmc::bfloat16 *x0, const float *x1, const float *x2, float *y0, const long long extent_T)
// CHECK: const bool few = dim_T <= 8;
// CHECK: const lmc::Operand<lmc::bfloat16, lmc::bfloat16, true, 8> a = {x0 +
// CHECK: const lmc::Operand<float, lmc::bfloat16, false, 4> b = {x1 +
// CHECK: const float *sums = few ? lmc::multiplyFewRows<8, 64, 72, 128>(a, b, 40) : lmc::multiplyTiles<Tiles>(a, b, 40);
// CHECK: if (local < rows && lane < columns) {
// PTX: .visible .entry matmul_0(
// PTX: cp.async.cg.shared.global
// PTX: ldmatrix.sync.aligned.m8n8.x4.trans
// PTX: mma.sync.aligned.m16n8k16
!x = tensor<?x40xbf16, #lm.dims<"T">>
!y = tensor<?x100xf32, #lm.dims<"T">>
func.func @forward(%x: !x {lm.name = "x", lm.role = "input"},
                   %w: tensor<40x100xf32> {lm.name = "w", lm.role = "parameter"},
                   %bias: tensor<100xf32> {lm.name = "bias", lm.role = "parameter"})
    -> (!y {lm.name = "y", lm.role = "output"}) attributes {lm.ranges = {T = array<i64: 1, 1024>}} {
  %r = lm.convert %w : (tensor<40x100xf32>) -> tensor<40x100xbf16>
  %p = lm.matmul %x, %r : (!x, tensor<40x100xbf16>) -> !y loc("layers.0")
  %b = lm.broadcast %bias {dims = array<i64: 1>} : (tensor<100xf32>) -> !y
  %y = lm.add %p, %b : (!y, !y) -> !y loc("layers.0")
  return %y : !y
}
