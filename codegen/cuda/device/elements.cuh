// Elements of tensors in device memory, and the few scalar functions that C++ does not have.
// Part of the text that every generated kernel starts with; NVRTC finds no headers, so that none of
// these files includes another. They follow one another in the order that CMakeLists.txt gives.

namespace lmc {

/// The upper half of a float. Kernels compute in float and round to nearest even where they store.
struct bfloat16 {
  unsigned short bits;
};

__device__ __forceinline__ float widen(bfloat16 x) {
  return __uint_as_float(static_cast<unsigned>(x.bits) << 16);
}

__device__ __forceinline__ bfloat16 narrow(float x) {
  const unsigned bits = __float_as_uint(x);
  // Rounding could carry a NaN over to infinity; keep it a quiet NaN.
  if (x != x)
    return {static_cast<unsigned short>(bits >> 16 | 0x40)};
  return {static_cast<unsigned short>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

template <typename T> struct UnsignedOf {
  using Type = T;
};
template <> struct UnsignedOf<int> {
  using Type = unsigned;
};
template <> struct UnsignedOf<long long> {
  using Type = unsigned long long;
};

/// Integers wrap around, as on the CPU; in C++ only those without sign do.
template <typename T> __device__ __forceinline__ T wrappingAdd(T a, T b) {
  using U = typename UnsignedOf<T>::Type;
  return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
}
template <typename T> __device__ __forceinline__ T wrappingSub(T a, T b) {
  using U = typename UnsignedOf<T>::Type;
  return static_cast<T>(static_cast<U>(a) - static_cast<U>(b));
}
template <typename T> __device__ __forceinline__ T wrappingMul(T a, T b) {
  using U = typename UnsignedOf<T>::Type;
  return static_cast<T>(static_cast<U>(a) * static_cast<U>(b));
}

/// Zeros come in from above.
template <typename T> __device__ __forceinline__ T shiftRight(T a, T bits) {
  return static_cast<T>(static_cast<typename UnsignedOf<T>::Type>(a) >> bits);
}

/// The larger; NaN if either is.
template <typename T> __device__ __forceinline__ T maximum(T a, T b) {
  return a != a ? a : b != b ? b : a > b ? a : b;
}

/// The smaller; NaN if either is.
template <typename T> __device__ __forceinline__ T minimum(T a, T b) {
  return a != a ? a : b != b ? b : a < b ? a : b;
}

} // namespace lmc
