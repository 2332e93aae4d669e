// One function an instruction: asynchronous copies to shared memory and the tensor cores of sm_80.
// The host twins with the same names are in emulation.h; ptx.cuh itself runs on GPUs only.
// Source: PTX ISA 8.0, sections cp.async, ldmatrix, mma.m16n8k16, mma.m16n8k32, cvt, ex2.

#ifndef LMC_EMULATED
namespace lmc {

/// A lane's part of matrix operands, two bf16 a word, the one with the smaller index in the low half.
template <int Words> struct Fragment {
  unsigned at[Words];
};

extern __shared__ __align__(1024) unsigned char dynamicSharedBytes[];

/// The shared memory whose size the launch gives (Kernel::sharedBytes).
__device__ __forceinline__ unsigned char *dynamicShared() { return dynamicSharedBytes; }

__device__ __forceinline__ unsigned sharedAddress(const void *pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

/// Copies `taken` bytes to shared memory and fills up to Bytes (4, 8 or 16) with zeros; both places
/// are aligned to Bytes. There after waitCopies() of this thread and a barrier for the others.
template <int Bytes>
__device__ __forceinline__ void copyAsync(void *to, const void *from, int taken) {
  if constexpr (Bytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sharedAddress(to)),
                 "l"(from), "r"(taken)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(sharedAddress(to)),
                 "l"(from), "n"(Bytes), "r"(taken)
                 : "memory");
}

/// Closes a group of this thread's copies.
__device__ __forceinline__ void commitCopies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

/// Until all groups but the latest `Pending` are there.
template <int Pending> __device__ __forceinline__ void waitCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

/// Four 8 x 8 matrices of bf16. Lane l gives the address of row l % 8 of matrix l / 8, 16 bytes in
/// shared memory, and gets of each matrix row l / 4, columns 2 (l % 4) and the next; transposed:
/// column l / 4, rows 2 (l % 4) and the next.
template <bool Transposed> __device__ __forceinline__ Fragment<4> loadMatrices(const void *row) {
  Fragment<4> result;
  if constexpr (Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(result.at[0]), "=r"(result.at[1]), "=r"(result.at[2]), "=r"(result.at[3])
                 : "r"(sharedAddress(row))
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(result.at[0]), "=r"(result.at[1]), "=r"(result.at[2]), "=r"(result.at[3])
                 : "r"(sharedAddress(row))
                 : "memory");
  return result;
}

/// sums [16, 8] += a [16, 16] * b [16, 8], bf16 with f32 sums. Lane l has of sums rows l / 4 (0, 1)
/// and l / 4 + 8 (2, 3), columns 2 (l % 4) and the next; of a, two k a word from 2 (l % 4): rows l / 4
/// and l / 4 + 8 (words 0, 1), the same 8 k further (2, 3); of b, column l / 4, two k a word from
/// 2 (l % 4), and 8 further.
__device__ __forceinline__ void multiplyAdd(float (&sums)[4], const Fragment<4> &a,
                                            const Fragment<2> &b) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
               "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
               : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b.at[0]),
                 "r"(b.at[1]));
}

/// sums [16, 8] += a [16, 32] * b [32, 8], signed bytes with exact sums. Lane l has of sums what it has
/// above; of a, four k a word from 4 (l % 4): rows l / 4 and l / 4 + 8 (words 0, 1), the same 16 k further
/// (2, 3); of b, column l / 4, four k a word from 4 (l % 4), and 16 further.
__device__ __forceinline__ void multiplyAdd(int (&sums)[4], const Fragment<4> &a,
                                            const Fragment<2> &b) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, "
               "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
               : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b.at[0]),
                 "r"(b.at[1]));
}

/// The same of half as many k: the first words of both.
__device__ __forceinline__ void multiplyAdd(int (&sums)[4], const Fragment<2> &a,
                                            const Fragment<1> &b) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, "
               "{%4, %5}, {%6}, {%0, %1, %2, %3};"
               : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
               : "r"(a.at[0]), "r"(a.at[1]), "r"(b.at[0]));
}

/// Two numbers rounded to nearest even, the first one in the low half.
__device__ __forceinline__ unsigned packed(float low, float high) {
  unsigned result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
}

/// An f16 as f32, exactly.
__device__ __forceinline__ float widenHalf(unsigned short bits) {
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(bits));
  return result;
}

/// 2^x, within 2 units in the last place; 0 where the result would be denormal.
__device__ __forceinline__ float powerOfTwo(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

/// 1 / x, within 1 unit in the last place; 0 for infinity, and where the result would be denormal.
__device__ __forceinline__ float reciprocal(float x) {
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

} // namespace lmc
#endif
