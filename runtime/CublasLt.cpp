#include "runtime/CublasLt.h"

#include "runtime/Error.h"
#include "runtime/OptionalLibrary.h"

namespace lmc {

CublasLt::CublasLt(std::vector<const char *> files) {
  OptionalLibrary library({"NVIDIA's cuBLASLt", std::move(files),
                           "it comes with the CUDA toolkit (Debian and Ubuntu: libcublas-12-9 or "
                           "libcublas-13-0 of NVIDIA's repository; Python: nvidia-cublas)"});
#define LMC_FIND(name) library.find(name, #name);
  LMC_FIND(cublasLtGetVersion)
  LMC_FIND(cublasLtGetStatusString)
  LMC_FIND(cublasLtCreate)
  LMC_FIND(cublasLtDestroy)
  LMC_FIND(cublasLtMatmulDescCreate)
  LMC_FIND(cublasLtMatmulDescDestroy)
  LMC_FIND(cublasLtMatmulDescSetAttribute)
  LMC_FIND(cublasLtMatrixLayoutCreate)
  LMC_FIND(cublasLtMatrixLayoutDestroy)
  LMC_FIND(cublasLtMatrixLayoutSetAttribute)
  LMC_FIND(cublasLtMatmulPreferenceCreate)
  LMC_FIND(cublasLtMatmulPreferenceDestroy)
  LMC_FIND(cublasLtMatmulPreferenceSetAttribute)
  LMC_FIND(cublasLtMatmulAlgoGetHeuristic)
  LMC_FIND(cublasLtMatmul)
#undef LMC_FIND
  why = library.missing();
}

const CublasLt &CublasLt::system() {
  static const CublasLt library({"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"});
  return library;
}

/// 130001 is 13.0.1; before version 12 it was 11601 for 11.6.1.
std::string CublasLt::version() const {
  size_t number = cublasLtGetVersion(), major = number >= 120000 ? number / 10000 : number / 1000;
  size_t rest = number >= 120000 ? number % 10000 : number % 1000;
  return fmt::format("{}.{}.{}", major, rest / 100, rest % 100);
}

void CublasLt::check(int status, std::string_view what) const {
  if (status == 0)
    return;
  const char *words = cublasLtGetStatusString(status);
  fail("cannot {}: {} (cuBLAS status {})", what, words ? words : "unknown status", status);
}

} // namespace lmc
