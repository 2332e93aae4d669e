// One kernel for each wrapper of codegen/cuda/device/ptx.cuh, of one warp: words in, words out.
// wrappers_host.cpp runs this text on the host and writes down what comes out; wrappers.py runs it on
// a GPU and compares.

/// Lane l copies Bytes bytes, of which it takes l % (Bytes + 1) and fills the rest with zeros.
template <int Bytes> __device__ __forceinline__ void copyWords(const unsigned *in, unsigned *out) {
  const int lane = static_cast<int>(threadIdx.x);
  constexpr int kWords = Bytes / 4;
  auto *shared = reinterpret_cast<unsigned *>(lmc::dynamicShared());
  lmc::copyAsync<Bytes>(shared + kWords * lane, in + kWords * lane, lane % (Bytes + 1));
  lmc::commitCopies();
  lmc::waitCopies<0>();
  for (int i = 0; i < kWords; ++i)
    out[kWords * lane + i] = shared[kWords * lane + i];
}
extern "C" __global__ void copyAsync4(const unsigned *in, unsigned *out) { copyWords<4>(in, out); }
extern "C" __global__ void copyAsync8(const unsigned *in, unsigned *out) { copyWords<8>(in, out); }
extern "C" __global__ void copyAsync16(const unsigned *in, unsigned *out) {
  copyWords<16>(in, out);
}

/// Three groups: the oldest one is there when two may be pending, then all are.
extern "C" __global__ void waitCopies(const unsigned *in, unsigned *out) {
  const int lane = static_cast<int>(threadIdx.x);
  auto *shared = reinterpret_cast<unsigned *>(lmc::dynamicShared());
  for (int group = 0; group < 3; ++group) {
    lmc::copyAsync<4>(shared + 32 * group + lane, in + 32 * group + lane, 4);
    lmc::commitCopies();
  }
  lmc::waitCopies<2>();
  __syncwarp();
  out[lane] = shared[31 - lane];
  lmc::waitCopies<0>();
  __syncwarp();
  for (int group = 1; group < 3; ++group)
    out[32 * group + lane] = shared[32 * group + 31 - lane];
}

template <bool Transposed>
__device__ __forceinline__ void loadWords(const unsigned *in, unsigned *out) {
  const int lane = static_cast<int>(threadIdx.x);
  auto *shared = reinterpret_cast<unsigned *>(lmc::dynamicShared());
  for (int i = 0; i < 4; ++i)
    shared[32 * i + lane] = in[32 * i + lane];
  __syncwarp();
  const lmc::Fragment<4> loaded = lmc::loadMatrices<Transposed>(shared + 4 * lane);
  for (int i = 0; i < 4; ++i)
    out[4 * lane + i] = loaded.at[i];
}
extern "C" __global__ void loadMatrices(const unsigned *in, unsigned *out) {
  loadWords<false>(in, out);
}
extern "C" __global__ void loadMatricesTransposed(const unsigned *in, unsigned *out) {
  loadWords<true>(in, out);
}

/// Each lane gives four words of a, two of b and four sums.
extern "C" __global__ void multiplyAdd(const unsigned *in, unsigned *out) {
  const unsigned *mine = in + 10 * threadIdx.x;
  const lmc::Fragment<4> a = {mine[0], mine[1], mine[2], mine[3]};
  const lmc::Fragment<2> b = {mine[4], mine[5]};
  float sums[4];
  for (int i = 0; i < 4; ++i)
    sums[i] = __uint_as_float(mine[6 + i]);
  lmc::multiplyAdd(sums, a, b);
  for (int i = 0; i < 4; ++i)
    out[4 * threadIdx.x + i] = __float_as_uint(sums[i]);
}

extern "C" __global__ void packed(const unsigned *in, unsigned *out) {
  for (int i = static_cast<int>(threadIdx.x); i < 1024; i += 32)
    out[i] = lmc::packed(__uint_as_float(in[2 * i]), __uint_as_float(in[2 * i + 1]));
}

extern "C" __global__ void widenHalf(const unsigned *in, unsigned *out) {
  for (int i = static_cast<int>(threadIdx.x); i < 1024; i += 32)
    out[i] = __float_as_uint(lmc::widenHalf(static_cast<unsigned short>(in[i])));
}

/// Of what the compiler has itself: a sum of four products of bytes, four bytes of eight.
extern "C" __global__ void bytes(const unsigned *in, unsigned *out) {
  for (int i = static_cast<int>(threadIdx.x); i < 256; i += 32) {
    const unsigned *mine = in + 3 * i;
    out[2 * i] = static_cast<unsigned>(__dp4a(
        static_cast<int>(mine[0]), static_cast<int>(mine[1]), static_cast<int>(mine[2] >> 8)));
    out[2 * i + 1] = __byte_perm(mine[0], mine[1], mine[2] & 0x7777);
  }
}

extern "C" __global__ void powerOfTwo(const unsigned *in, unsigned *out) {
  for (int i = static_cast<int>(threadIdx.x); i < 1024; i += 32)
    out[i] = __float_as_uint(lmc::powerOfTwo(__uint_as_float(in[i])));
}

extern "C" __global__ void reciprocal(const unsigned *in, unsigned *out) {
  for (int i = static_cast<int>(threadIdx.x); i < 1024; i += 32)
    out[i] = __float_as_uint(lmc::reciprocal(__uint_as_float(in[i])));
}
