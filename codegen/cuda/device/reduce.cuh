// Reductions over a warp and over a block, in a fixed order: the tree depends on the number of
// threads alone, so that results are the same in every run. Every thread gets the result.

namespace lmc {

struct Sum {
  template <typename T> static __device__ __forceinline__ T combine(T a, T b) { return a + b; }
};

struct Max {
  template <typename T> static __device__ __forceinline__ T combine(T a, T b) {
    return maximum(a, b);
  }
};

constexpr int kWarp = 32;

/// A butterfly of five shuffles; partners add the same two numbers. All 32 lanes take part.
template <typename Op, typename T> __device__ __forceinline__ T warpReduce(T x) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    x = Op::combine(x, __shfl_xor_sync(0xffffffffu, x, offset));
  return x;
}

/// Warps first, then their results one after the other. All 32 * Warps threads take part.
/// `partial` is shared memory that nothing else uses in this block's life.
template <typename Op, int Warps, typename T>
__device__ __forceinline__ T blockReduce(T x, T *partial) {
  x = warpReduce<Op>(x);
  if (threadIdx.x % kWarp == 0)
    partial[threadIdx.x / kWarp] = x;
  __syncthreads();
  T result = partial[0];
  for (int warp = 1; warp < Warps; ++warp)
    result = Op::combine(result, partial[warp]);
  return result;
}

/// Of threads that stand [Slices, Width]: the slices of each column, one after the other. Only the
/// first slice gets the result. All threads of the block take part.
template <typename Op, int Slices, int Width, typename T>
__device__ __forceinline__ T sliceReduce(T x, T *partial) {
  partial[threadIdx.x] = x;
  __syncthreads();
  if (threadIdx.x >= Width)
    return x;
  for (int slice = 1; slice < Slices; ++slice)
    x = Op::combine(x, partial[slice * Width + threadIdx.x]);
  return x;
}

/// The place of the lowest bit that is set; there is one.
__device__ __forceinline__ int lowestBit(unsigned bits) {
  return __ffs(static_cast<int>(bits)) - 1;
}

} // namespace lmc
