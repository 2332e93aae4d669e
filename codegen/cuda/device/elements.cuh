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

/// x = quarters * pi / 2 + rest, |rest| <= pi / 4, for hasAngle(x): a few operations in double, where the
/// library's sinf and cosf keep a table in local memory for large x.
struct Angle {
  float rest;
  int quarters;
};
__device__ __forceinline__ Angle reduced(float x) {
  const double n = rint(x * 0.63661977236758134308);
  double rest = fma(n, -1.570796325802803, static_cast<double>(x)); // pi / 2 in three parts
  rest = fma(n, -9.920935739593517e-10, rest);
  rest = fma(n, -5.721188726109832e-18, rest);
  return {static_cast<float>(rest), static_cast<int>(n)};
}

/// sin of an angle, within 2 units in the last place.
__device__ __forceinline__ float sine(Angle angle) {
  const float r = angle.rest, square = r * r;
  float odd = fmaf(2.7180464e-6f, square, -0.000198393044f);
  odd = fmaf(fmaf(odd, square, 0.00833332928f), square, -0.166666666f);
  float even = fmaf(-2.72050459e-7f, square, 2.47991545e-5f);
  even = fmaf(fmaf(even, square, -0.00138888825f), square, 0.0416666666f);
  even = fmaf(fmaf(even, square, -0.5f), square, 1.0f);
  const float y = angle.quarters & 1 ? even : fmaf(square * r, odd, r);
  return angle.quarters & 2 ? -y : y;
}

/// Beyond, a float is too coarse to tell an angle: sin and cos are NaN, as on the CPU.
__device__ __forceinline__ bool hasAngle(float x) { return fabsf(x) <= 5e7f; }

__device__ __forceinline__ float sine(float x) {
  const float y = sine(reduced(hasAngle(x) ? x : 0));
  return !hasAngle(x) ? __uint_as_float(0x7fc00000u) : x == 0 ? x : y;
}
__device__ __forceinline__ float cosine(float x) {
  Angle angle = reduced(hasAngle(x) ? x : 0);
  ++angle.quarters;
  return hasAngle(x) ? sine(angle) : __uint_as_float(0x7fc00000u);
}
__device__ __forceinline__ double sine(double x) { return sin(x); }
__device__ __forceinline__ double cosine(double x) { return cos(x); }

/// The smaller; NaN if either is.
template <typename T> __device__ __forceinline__ T minimum(T a, T b) {
  return a != a ? a : b != b ? b : a < b ? a : b;
}

} // namespace lmc
