// Joined kernels: several launches as one, a run of blocks each.

namespace lmc {

/// The addresses of a launch's buffers as one parameter, a __grid_constant__.
template <int Count> struct Addresses {
  void *at[Count];

  template <typename T> __device__ __forceinline__ T *of(int number) const {
    return static_cast<T *>(at[number]);
  }
};

/// The last segment that begins at `block` or before it. The first one begins at 0, the others rise.
template <int Count>
__device__ __forceinline__ int segmentOf(const int (&first)[Count], int block) {
  int low = 0, end = Count;
  while (end - low > 1) {
    const int middle = (low + end) / 2;
    if (first[middle] <= block)
      low = middle;
    else
      end = middle;
  }
  return low;
}

} // namespace lmc
