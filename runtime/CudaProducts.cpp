#include "runtime/CudaProducts.h"

#include "runtime/Error.h"
#include "runtime/Extent.h"
#include "runtime/KernelAbi.h"
#include "runtime/Knobs.h"

#include <fmt/format.h>

#include <algorithm>

namespace lmc {
namespace {

using Pointer = CudaDriver::Pointer;
using Message = executable::LibraryProduct;

void say(const std::string &text) {
  if (knobs::logLevel() != knobs::LogLevel::Quiet)
    fmt::print(stderr, "{}\n", text);
}

/// The largest power of two that divides an address, at most what every buffer is aligned to: where
/// the planner puts a buffer does not choose the algorithm.
uint32_t alignmentOf(Pointer address) {
  Pointer lowest = address & -address;
  return static_cast<uint32_t>(lowest == 0 ? kArenaAlignment
                                           : std::min<Pointer>(lowest, kArenaAlignment));
}

/// A matrix in the library's order: columns one after the other.
struct Matrix {
  int64_t rows, columns, step, batchStep;
};

/// A product's numbers for some dims, and where its matrices lie, with the operands exchanged: what
/// the library calls A is the right side.
struct Shape {
  Shape(const Message &product, std::span<const int64_t> dims, std::span<const Pointer> buffers)
      : m(evaluate(product.m(), dims)), n(evaluate(product.n(), dims)),
        k(evaluate(product.k(), dims)), batch(evaluate(product.batch(), dims)),
        right(matrix(product.b(), n, k, dims)), left(matrix(product.a(), k, m, dims)),
        result{n, m, n, n * m} {
    place(product, buffers);
  }

  /// Lines of a row-major matrix are columns here: `lines` of them unless it is transposed.
  static Matrix matrix(const Message::Operand &operand, int64_t width, int64_t lines,
                       std::span<const int64_t> dims) {
    if (operand.transposed())
      std::swap(width, lines);
    return {width, lines, evaluate(operand.step(), dims), evaluate(operand.batch_step(), dims)};
  }

  void place(const Message &product, std::span<const Pointer> buffers) {
    rightAt = buffers[product.b().buffer()] + product.b().offset();
    leftAt = buffers[product.a().buffer()] + product.a().offset();
    resultAt = buffers[product.result_buffer()];
    addendAt = product.has_addend() ? buffers[product.addend()] : resultAt;
    biasAt = product.has_bias() ? buffers[product.bias()] : 0;
  }

  /// Whatever an algorithm may depend on.
  std::vector<int64_t> key(const Message &product) const {
    return {m,
            n,
            k,
            batch,
            right.step,
            right.batchStep,
            left.step,
            left.batchStep,
            product.b().transposed(),
            product.a().transposed(),
            product.operands(),
            product.result(),
            product.has_bias(),
            product.has_addend(),
            product.gelu(),
            alignmentOf(rightAt),
            alignmentOf(leftAt),
            alignmentOf(resultAt),
            alignmentOf(addendAt),
            alignmentOf(biasAt)};
  }

  int64_t m, n, k, batch;
  Matrix right, left, result;
  Pointer rightAt, leftAt, resultAt, addendAt, biasAt;
};

int typeOf(executable::DType type) {
  return type == executable::BF16 ? CublasLt::kBfloat16 : CublasLt::kFloat32;
}

} // namespace

class CudaProduct {
public:
  CudaProduct(const CublasLt &library, const Message &product, const Shape &shape)
      : library(library), description(describe()),
        right(layout(typeOf(product.operands()), shape.right, shape.batch)),
        left(layout(typeOf(product.operands()), shape.left, shape.batch)),
        y(layout(typeOf(product.result()), shape.result, shape.batch)),
        beta(product.has_addend() ? 1 : 0) {
    set(CublasLt::kTransposeA, product.b().transposed() ? CublasLt::kTransposed : CublasLt::kPlain);
    set(CublasLt::kTransposeB, product.a().transposed() ? CublasLt::kTransposed : CublasLt::kPlain);
    uint32_t epilogue =
        (product.has_bias() ? CublasLt::kBias : 0) | (product.gelu() ? CublasLt::kGelu : 0);
    set(CublasLt::kEpilogue, epilogue ? epilogue : CublasLt::kNoEpilogue);
    setBias(shape.biasAt);
  }

  /// False: there is none within the workspace.
  bool choose(CublasLt::Handle handle, const Shape &shape, uint64_t workspaceBytes) {
    CublasLt::Preference made = nullptr;
    library.check(library.cublasLtMatmulPreferenceCreate(&made), "choose an algorithm");
    Owned preference(made, library.cublasLtMatmulPreferenceDestroy);
    auto prefer = [&](int attribute, auto value) {
      library.check(
          library.cublasLtMatmulPreferenceSetAttribute(made, attribute, &value, sizeof value),
          "choose an algorithm");
    };
    prefer(CublasLt::kMostWorkspace, workspaceBytes);
    prefer(CublasLt::kReductions, CublasLt::kReductionInComputeType);
    prefer(CublasLt::kAlignmentA, alignmentOf(shape.rightAt));
    prefer(CublasLt::kAlignmentB, alignmentOf(shape.leftAt));
    prefer(CublasLt::kAlignmentC, alignmentOf(shape.addendAt));
    prefer(CublasLt::kAlignmentD, alignmentOf(shape.resultAt));
    CublasLt::Heuristic best{};
    int found = 0;
    int status =
        library.cublasLtMatmulAlgoGetHeuristic(handle, description.get(), right.get(), left.get(),
                                               y.get(), y.get(), made, 1, &best, &found);
    constexpr int kNotSupported = 15; // CUBLAS_STATUS_NOT_SUPPORTED
    if (status == kNotSupported || found == 0 || best.state != 0)
      return false;
    library.check(status, "choose an algorithm for a product");
    if (best.workspaceBytes > workspaceBytes)
      return false;
    algorithm = best.algorithm;
    return true;
  }

  int start(CublasLt::Handle handle, const Shape &shape, Pointer workspace, uint64_t workspaceBytes,
            CublasLt::Stream stream) {
    setBias(shape.biasAt); // launches of one shape share this object
    const float alpha = 1;
    return library.cublasLtMatmul(handle, description.get(), &alpha, pointer(shape.rightAt),
                                  right.get(), pointer(shape.leftAt), left.get(), &beta,
                                  pointer(shape.addendAt), y.get(), pointer(shape.resultAt),
                                  y.get(), &algorithm, pointer(workspace), workspaceBytes, stream);
  }

private:
  using Owned = std::unique_ptr<void, int (*)(void *)>;

  static void *pointer(Pointer address) { return reinterpret_cast<void *>(address); }

  template <typename T> void set(int attribute, T value) {
    library.check(
        library.cublasLtMatmulDescSetAttribute(description.get(), attribute, &value, sizeof value),
        "describe a product");
  }

  void setBias(Pointer at) {
    if (at)
      set(CublasLt::kBiasPointer, pointer(at));
  }

  Owned describe() const {
    CublasLt::Description made = nullptr;
    library.check(
        library.cublasLtMatmulDescCreate(&made, CublasLt::kComputeFloat32, CublasLt::kFloat32),
        "describe a product");
    return {made, library.cublasLtMatmulDescDestroy};
  }

  Owned layout(int type, const Matrix &matrix, int64_t batch) const {
    CublasLt::Layout made = nullptr;
    library.check(
        library.cublasLtMatrixLayoutCreate(&made, type, matrix.rows, matrix.columns, matrix.step),
        "describe a matrix");
    Owned owned(made, library.cublasLtMatrixLayoutDestroy);
    auto set = [&](int attribute, auto value) {
      library.check(library.cublasLtMatrixLayoutSetAttribute(made, attribute, &value, sizeof value),
                    "describe a matrix");
    };
    set(CublasLt::kBatchCount, static_cast<int32_t>(batch));
    set(CublasLt::kBatchStride, matrix.batchStep);
    return owned;
  }

  const CublasLt &library;
  Owned description, right, left, y;
  float beta;
  CublasLt::Algorithm algorithm{};
};

CudaProducts::CudaProducts(const executable::Executable &message, const CublasLt *library,
                           const CudaStream &stream, Pointer area, uint64_t areaBytes)
    : library(library), stream(stream), workspace(alignUp(area, kLibraryAlignment)),
      workspaceBytes(areaBytes - std::min(areaBytes, kLibraryAlignment - kArenaAlignment)) {
  if (std::ranges::none_of(message.kernels(), &executable::Kernel::has_library))
    return;
  if (!library)
    this->library = library = &CublasLt::system();
  if (!library->missing().empty())
    say(library->missing() + "; products run on generated kernels");
  else
    library->check(library->cublasLtCreate(&handle), "start cuBLASLt");
}

CudaProducts::~CudaProducts() {
  known.clear();
  if (handle)
    library->cublasLtDestroy(handle);
}

CudaProduct *CudaProducts::find(const executable::Kernel &kernel, std::span<const int64_t> dims,
                                std::span<const Pointer> buffers) {
  if (!handle || !kernel.has_library() ||
      evaluate(kernel.library().m(), dims) < kernel.library().least_rows())
    return nullptr;
  Shape shape(kernel.library(), dims, buffers);
  std::vector<int64_t> key = shape.key(kernel.library());
  if (auto at = known.find(key); at != known.end())
    return at->second.get();
  auto made = std::make_unique<CudaProduct>(*library, kernel.library(), shape);
  if (!made->choose(handle, shape, workspaceBytes)) {
    made = nullptr;
    say(fmt::format("cuBLASLt {} has no algorithm for a product [{}, {}] x [{}, {}] within {} "
                    "bytes; kernel '{}' computes it",
                    library->version(), shape.m, shape.k, shape.k, shape.n, workspaceBytes,
                    kernel.symbol()));
  }
  return (known[std::move(key)] = std::move(made)).get();
}

void CudaProducts::start(CudaProduct &product, const executable::Kernel &kernel,
                         std::span<const int64_t> dims, std::span<const Pointer> buffers,
                         std::string_view what) {
  Shape shape(kernel.library(), dims, buffers);
  library->check(product.start(handle, shape, workspace, workspaceBytes, stream.handle), what);
}

} // namespace lmc
