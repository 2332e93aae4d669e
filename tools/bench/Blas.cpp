#include "tools/bench/Blas.h"

#include <dlfcn.h>

namespace lmc::bench {
namespace {

/// cblas.h: row-major 101, not transposed 111, transposed 112.
using CblasSgemm = void (*)(int order, int transA, int transB, int m, int n, int k, float alpha,
                            const float *a, int lda, const float *b, int ldb, float beta, float *c,
                            int ldc);
/// dnnl.h: row-major, 'N' or 'T'.
using DnnlSgemm = int (*)(char transA, char transB, int64_t m, int64_t n, int64_t k, float alpha,
                          const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
                          float *c, int64_t ldc);

template <typename Function> Function find(void *library, const char *symbol) {
  return library ? reinterpret_cast<Function>(dlsym(library, symbol)) : nullptr;
}

/// Loaded once and kept: these libraries start threads that do not like to be unloaded.
void *open(const char *name) { return dlopen(name, RTLD_NOW | RTLD_LOCAL); }

Sgemm viaCblas(void *library) {
  auto sgemm = find<CblasSgemm>(library, "cblas_sgemm");
  if (!sgemm)
    return nullptr;
  return [sgemm](const ProductShape &s, const float *a, const float *b, float *y) {
    sgemm(101, s.transposeA ? 112 : 111, s.transposeB ? 112 : 111, int(s.m), int(s.n), int(s.k), 1,
          a, int(s.transposeA ? s.m : s.k), b, int(s.transposeB ? s.k : s.n), 0, y, int(s.n));
  };
}

} // namespace

Sgemm findSgemm(const std::string &name, int threads) {
  if (name == "openblas") {
    void *library = open("libopenblas.so.0");
    if (auto set = find<void (*)(int)>(library, "openblas_set_num_threads"))
      set(threads);
    return viaCblas(library);
  }
  if (name == "blis") {
    void *library = open("libblis.so.4");
    if (auto set = find<void (*)(int64_t)>(library, "bli_thread_set_num_threads"))
      set(threads);
    return viaCblas(library);
  }
  if (name == "onednn") {
    void *library = open("libdnnl.so.3");
    if (!library)
      library = open("libdnnl.so.2");
    auto sgemm = find<DnnlSgemm>(library, "dnnl_sgemm");
    if (!sgemm)
      return nullptr;
    // It takes as many threads as OpenMP says.
    if (auto set = find<void (*)(int)>(open("libgomp.so.1"), "omp_set_num_threads"))
      set(threads);
    return [sgemm](const ProductShape &s, const float *a, const float *b, float *y) {
      sgemm(s.transposeA ? 'T' : 'N', s.transposeB ? 'T' : 'N', s.m, s.n, s.k, 1, a,
            s.transposeA ? s.m : s.k, b, s.transposeB ? s.k : s.n, 0, y, s.n);
    };
  }
  return nullptr;
}

} // namespace lmc::bench
