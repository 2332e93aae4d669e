// Neighbouring elements in one memory instruction (up to 16 bytes).

namespace lmc {

template <typename T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Vector {
  T at[N];
};

/// Elements [first, first + N) of `from`, zeros from `end` on. `from` is aligned to 16 bytes and
/// `first` a multiple of N.
template <int N, typename T, typename Index>
__device__ __forceinline__ Vector<T, N> loadVector(const T *from, Index first, Index end) {
  if (first + N <= end)
    return *reinterpret_cast<const Vector<T, N> *>(from + first);
  Vector<T, N> result = {};
  for (int k = 0; k < N; ++k)
    if (first + k < end)
      result.at[k] = from[first + k];
  return result;
}

/// Stores what lies before `end`.
template <int N, typename T, typename Index>
__device__ __forceinline__ void storeVector(T *to, Index first, Index end,
                                            const Vector<T, N> &elements) {
  if (first + N <= end) {
    *reinterpret_cast<Vector<T, N> *>(to + first) = elements;
    return;
  }
  for (int k = 0; k < N; ++k)
    if (first + k < end)
      to[first + k] = elements.at[k];
}

} // namespace lmc
