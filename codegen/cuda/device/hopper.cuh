// One function an instruction: what sm_90a adds. Tiles are copied by the tensor memory accelerator and
// announce themselves at barriers in shared memory; a warpgroup (4 warps) multiplies them from there.
// Absent for other architectures. The host twins with the same names are in emulation_hopper.h.
// Source: PTX ISA 8.0, sections mbarrier, cp.async.bulk.tensor, wgmma, setmaxnreg.

#if !defined(LMC_EMULATED) && defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define LMC_HOPPER
namespace lmc {

/// CUtensorMap: a tensor in memory and the box of it that one copy takes. A __grid_constant__
/// parameter.
struct alignas(64) TensorMap {
  unsigned long long opaque[16];
};

/// mbarrier, in shared memory. A phase ends when all arrivals came and all bytes that they announced
/// have landed; the next one starts at once. Phases count from 0; a wait names the parity of one.
struct alignas(8) Barrier {
  unsigned long long state;
};

/// One thread does that once, publishBarriers() after the last, and all meet before they use them.
__device__ __forceinline__ void initialise(Barrier *barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(sharedAddress(barrier)),
               "r"(arrivals)
               : "memory");
}
__device__ __forceinline__ void publishBarriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void arrive(Barrier *barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(sharedAddress(barrier)) : "memory");
}

/// Arrives and announces bytes that copies started after it bring in this phase.
__device__ __forceinline__ void arriveExpecting(Barrier *barrier, int bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(sharedAddress(barrier)),
      "r"(bytes)
      : "memory");
}

/// Has the phase of that parity ended? It is the current one or the one before. Waits for a while.
__device__ __forceinline__ bool hasEnded(Barrier *barrier, unsigned parity) {
  unsigned ended;
  asm volatile("{\n"
               ".reg .pred ended;\n"
               "mbarrier.try_wait.parity.shared::cta.b64 ended, [%1], %2;\n"
               "selp.u32 %0, 1, 0, ended;\n"
               "}"
               : "=r"(ended)
               : "r"(sharedAddress(barrier)), "r"(parity)
               : "memory");
  return ended;
}

/// Waits until the phase of that parity has ended. Of a new barrier, phase 1 counts as ended.
__device__ __forceinline__ void waitForPhase(Barrier *barrier, unsigned parity) {
  while (!hasEnded(barrier, parity)) {
  }
}

/// Coordinates of a box's first element, innermost first; they may lie outside of the tensor.
template <int Rank> struct Coordinates {
  int at[Rank];
};

/// Starts the copy of a box to shared memory, aligned to 1024 bytes: rows of 128 bytes whose pieces of
/// 16 are swizzled, zeros beyond the tensor's ends. Its bytes land at the barrier. One thread does
/// that.
__device__ __forceinline__ void copyTile(void *to, const TensorMap &map, Barrier *barrier,
                                         const Coordinates<2> &c) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
               "[%0], [%1, {%3, %4}], [%2];" ::"r"(sharedAddress(to)),
               "l"(&map), "r"(sharedAddress(barrier)), "r"(c.at[0]), "r"(c.at[1])
               : "memory");
}
__device__ __forceinline__ void copyTile(void *to, const TensorMap &map, Barrier *barrier,
                                         const Coordinates<3> &c) {
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
               "[%0], [%1, {%3, %4, %5}], [%2];" ::"r"(sharedAddress(to)),
               "l"(&map), "r"(sharedAddress(barrier)), "r"(c.at[0]), "r"(c.at[1]), "r"(c.at[2])
               : "memory");
}
__device__ __forceinline__ void copyTile(void *to, const TensorMap &map, Barrier *barrier,
                                         const Coordinates<4> &c) {
  asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes "
               "[%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(sharedAddress(to)),
               "l"(&map), "r"(sharedAddress(barrier)), "r"(c.at[0]), "r"(c.at[1]), "r"(c.at[2]),
               "r"(c.at[3])
               : "memory");
}

/// Registers of each thread from here on, a multiple of 8; all warps of a warpgroup do that. The
/// kernel's launch bounds say with how many it starts.
template <int Count> __device__ __forceinline__ void takeRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Count));
}
template <int Count> __device__ __forceinline__ void giveRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Count));
}

/// Before a warpgroup's first product after it has waited for others: orders registers.
__device__ __forceinline__ void fenceProducts() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
/// Closes a group of products.
__device__ __forceinline__ void commitProducts() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Until all groups but the latest `Pending` are done.
template <int Pending> __device__ __forceinline__ void waitProducts() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
}

/// Where a product's sums are read after a wait: the compiler must not take them from before it.
template <int Tiles> __device__ __forceinline__ void keep(float (&sums)[Tiles][4]) {
#pragma unroll
  for (int i = 0; i < 4 * Tiles; ++i)
    asm volatile("" : "+f"(sums[i / 4][i % 4])::"memory");
}

// clang-format off
#define LMC_NAMES_32 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define LMC_NAMES_40 LMC_NAMES_32 ", %32, %33, %34, %35, %36, %37, %38, %39"
#define LMC_NAMES_48 LMC_NAMES_40 ", %40, %41, %42, %43, %44, %45, %46, %47"
#define LMC_NAMES_64 LMC_NAMES_48 ", %48, %49, %50, %51, %52, %53, %54, %55, " \
  "%56, %57, %58, %59, %60, %61, %62, %63"
#define LMC_NAMES_128 LMC_NAMES_64 ", %64, %65, %66, %67, %68, %69, %70, %71, " \
  "%72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, %86, %87, " \
  "%88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, %103, " \
  "%104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, " \
  "%120, %121, %122, %123, %124, %125, %126, %127"
#define LMC_SUMS_8(t) \
  "+f"(sums[t][0]), "+f"(sums[t][1]), "+f"(sums[t][2]), "+f"(sums[t][3]), \
  "+f"(sums[t + 1][0]), "+f"(sums[t + 1][1]), "+f"(sums[t + 1][2]), "+f"(sums[t + 1][3])
#define LMC_SUMS_32(t) LMC_SUMS_8(t), LMC_SUMS_8(t + 2), LMC_SUMS_8(t + 4), LMC_SUMS_8(t + 6)
#define LMC_SUMS_40 LMC_SUMS_32(0), LMC_SUMS_8(8)
#define LMC_SUMS_48 LMC_SUMS_40, LMC_SUMS_8(10)
#define LMC_SUMS_64 LMC_SUMS_32(0), LMC_SUMS_32(8)
#define LMC_SUMS_128 LMC_SUMS_64, LMC_SUMS_32(16), LMC_SUMS_32(24)
#define LMC_MULTIPLY(N, NAMES, SUMS, A, B, ADD, TA, TB) \
  if constexpr (Columns == N) \
    asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, " ADD ", 0;\n" \
                 "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" NAMES "}, " \
                 A ", " B ", add, 1, 1, " TA ", " TB ";\n}" \
                 : SUMS \
                 : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(TransposedA ? 1 : 0), \
                   "n"(TransposedB ? 1 : 0))
#define LMC_MULTIPLY_HELD(N, NAMES, SUMS, A0, A1, A2, A3, B, ADD, TB) \
  if constexpr (Columns == N) \
    asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, " ADD ", 0;\n" \
                 "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" NAMES "}, " \
                 "{" A0 ", " A1 ", " A2 ", " A3 "}, " B ", add, 1, 1, " TB ";\n}" \
                 : SUMS \
                 : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "l"(b), \
                   "r"(static_cast<int>(add)), "n"(TransposedB ? 1 : 0))
// clang-format on

/// Starts sums [64, Columns] = (add ? sums : 0) + a [64, 16] * b [16, Columns], bf16 with f32 sums.
/// Operands lie in shared memory (SharedMatrix) with neighbours along the depth, or across where
/// transposed. Warp w of the warpgroup has rows 16 w; sums[j] is its tile of 16 rows and columns 8 j,
/// laid out as multiplyAdd's. There after waitProducts() and keep().
template <int Columns, bool TransposedA, bool TransposedB>
__device__ __forceinline__ void startProduct(float (&sums)[Columns / 8][4], unsigned long long a,
                                             unsigned long long b, bool add) {
  static_assert(Columns == 64 || Columns == 128);
  LMC_MULTIPLY(64, LMC_NAMES_32, LMC_SUMS_32(0), "%32", "%33", "%34", "%35", "%36");
  LMC_MULTIPLY(128, LMC_NAMES_64, LMC_SUMS_64, "%64", "%65", "%66", "%67", "%68");
}

/// The same with a in registers: each warp's own 16 rows, laid out as multiplyAdd's.
template <int Columns, bool TransposedB>
__device__ __forceinline__ void startProduct(float (&sums)[Columns / 8][4], const Fragment<4> &a,
                                             unsigned long long b, bool add) {
  static_assert(Columns == 64 || Columns == 80 || Columns == 96 || Columns == 128 ||
                Columns == 256);
  LMC_MULTIPLY_HELD(64, LMC_NAMES_32, LMC_SUMS_32(0), "%32", "%33", "%34", "%35", "%36", "%37",
                    "%38");
  LMC_MULTIPLY_HELD(80, LMC_NAMES_40, LMC_SUMS_40, "%40", "%41", "%42", "%43", "%44", "%45", "%46");
  LMC_MULTIPLY_HELD(96, LMC_NAMES_48, LMC_SUMS_48, "%48", "%49", "%50", "%51", "%52", "%53", "%54");
  LMC_MULTIPLY_HELD(128, LMC_NAMES_64, LMC_SUMS_64, "%64", "%65", "%66", "%67", "%68", "%69",
                    "%70");
  LMC_MULTIPLY_HELD(256, LMC_NAMES_128, LMC_SUMS_128, "%128", "%129", "%130", "%131", "%132",
                    "%133", "%134");
}

} // namespace lmc
#endif
