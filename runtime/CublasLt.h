// The functions of NVIDIA's cuBLASLt that a session calls, found at run time: nothing of CUDA is needed
// to build or to start lmc. Source: cuBLAS library reference, version 12 and 13, and cublasLt.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lmc {

/// Results are cublasStatus_t, 0 for success; handles are opaque.
struct CublasLt {
  using Handle = void *;
  using Description = void *; ///< cublasLtMatmulDesc_t
  using Layout = void *;      ///< cublasLtMatrixLayout_t
  using Preference = void *;  ///< cublasLtMatmulPreference_t
  using Stream = void *;

  struct Algorithm { ///< cublasLtMatmulAlgo_t
    uint64_t data[8];
  };
  struct Heuristic { ///< cublasLtMatmulHeuristicResult_t
    Algorithm algorithm;
    size_t workspaceBytes;
    int state;
    float waves;
    int reserved[4];
  };

  // Values of cublasLt.h and library_types.h that are used; a test compares them where the headers are.
  static constexpr int kFloat32 = 0, kBfloat16 = 14; ///< CUDA_R_32F, CUDA_R_16BF
  static constexpr int kComputeFloat32 = 68;         ///< CUBLAS_COMPUTE_32F: no TF32
  static constexpr int kPlain = 0, kTransposed = 1;  ///< CUBLAS_OP_N, CUBLAS_OP_T
  static constexpr int kTransposeA = 3, kTransposeB = 4, kEpilogue = 7,
                       kBiasPointer = 8;                  ///< CUBLASLT_MATMUL_DESC_*
  static constexpr int kBatchCount = 5, kBatchStride = 6; ///< CUBLASLT_MATRIX_LAYOUT_*
  static constexpr int kMostWorkspace = 1, kReductions = 3, kAlignmentA = 5, kAlignmentB = 6,
                       kAlignmentC = 7, kAlignmentD = 8;            ///< CUBLASLT_MATMUL_PREF_*
  static constexpr uint32_t kReductionInComputeType = 2;            ///< CUBLASLT_REDUCTION_SCHEME_*
  static constexpr uint32_t kNoEpilogue = 1, kBias = 4, kGelu = 32; ///< CUBLASLT_EPILOGUE_*

  /// Opens the first of the files that there is. Where none is or a function is missing, missing()
  /// says so.
  explicit CublasLt(std::vector<const char *> files);
  /// NVIDIA's, opened at the first call.
  static const CublasLt &system();

  /// Why it cannot be used; empty: it can.
  const std::string &missing() const { return why; }
  /// "13.0.1"
  std::string version() const;
  /// Throws Error "cannot WHAT: the library's words" unless the status is 0.
  void check(int status, std::string_view what) const;

  size_t (*cublasLtGetVersion)() = nullptr;
  const char *(*cublasLtGetStatusString)(int status) = nullptr;
  int (*cublasLtCreate)(Handle *) = nullptr;
  int (*cublasLtDestroy)(Handle) = nullptr;
  int (*cublasLtMatmulDescCreate)(Description *, int computeType, int scaleType) = nullptr;
  int (*cublasLtMatmulDescDestroy)(Description) = nullptr;
  int (*cublasLtMatmulDescSetAttribute)(Description, int attribute, const void *value,
                                        size_t bytes) = nullptr;
  /// rows, columns and step as of a matrix that is stored column by column.
  int (*cublasLtMatrixLayoutCreate)(Layout *, int type, uint64_t rows, uint64_t columns,
                                    int64_t step) = nullptr;
  int (*cublasLtMatrixLayoutDestroy)(Layout) = nullptr;
  int (*cublasLtMatrixLayoutSetAttribute)(Layout, int attribute, const void *value,
                                          size_t bytes) = nullptr;
  int (*cublasLtMatmulPreferenceCreate)(Preference *) = nullptr;
  int (*cublasLtMatmulPreferenceDestroy)(Preference) = nullptr;
  int (*cublasLtMatmulPreferenceSetAttribute)(Preference, int attribute, const void *value,
                                              size_t bytes) = nullptr;
  int (*cublasLtMatmulAlgoGetHeuristic)(Handle, Description, Layout a, Layout b, Layout c, Layout d,
                                        Preference, int wanted, Heuristic *, int *found) = nullptr;
  int (*cublasLtMatmul)(Handle, Description, const void *alpha, const void *a, Layout,
                        const void *b, Layout, const void *beta, const void *c, Layout, void *d,
                        Layout, const Algorithm *, void *workspace, size_t workspaceBytes,
                        Stream) = nullptr;

private:
  std::string why;
};

} // namespace lmc
