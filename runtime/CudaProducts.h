// The products of a session that cuBLASLt computes: descriptors and algorithms, by shape.
//
// The library stores matrices column by column. A row-major matrix is its own transpose there, so
// y = a b is asked for as yᵀ = bᵀ aᵀ: the operands change places and nothing is moved.
//
// Algorithms. The library's heuristic names the one that it expects to be fastest within the workspace
// and the alignment that there are. It is asked once for each shape, never while a program is recorded.
// Excluded are those whose bits may differ from run to run or that round partial sums to the result's
// type: of sums over k that several blocks share, only those kept apart in f32 and added in a step of
// their own are allowed. So a session repeats its bits on the same GPU with the same version of the
// library; with another number of rows, another GPU or another version they may differ.
#pragma once

#include "runtime/CublasLt.h"
#include "runtime/CudaResources.h"
#include "runtime/Executable.h"

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace lmc {

/// A product whose algorithm is chosen. Where its matrices lie is said at each start.
class CudaProduct;

class CudaProducts {
public:
  /// library null: CublasLt::system(), opened where the executable wants it; where it is missing, a
  /// line on stderr says so, once, and every find() is null. The area is the arena's scratch; it and
  /// the stream live longer.
  CudaProducts(const executable::Executable &message, const CublasLt *library,
               const CudaStream &stream, CudaDriver::Pointer area, uint64_t areaBytes);
  ~CudaProducts();
  CudaProducts(const CudaProducts &) = delete;

  /// How the library computes a kernel's product with these dims and a launch's buffers; null where
  /// the kernel has to: few rows, no library, or no algorithm, which a line on stderr says once for
  /// each shape. Valid as long as this object. Throws Error where the library refuses a description.
  CudaProduct *find(const executable::Kernel &kernel, std::span<const int64_t> dims,
                    std::span<const CudaDriver::Pointer> buffers);

  /// Puts it on the stream. Throws Error "cannot WHAT: ...".
  void start(CudaProduct &product, const executable::Kernel &kernel, std::span<const int64_t> dims,
             std::span<const CudaDriver::Pointer> buffers, std::string_view what);

private:
  const CublasLt *library;
  const CudaStream &stream;
  CublasLt::Handle handle = nullptr; ///< null: nothing goes to the library
  CudaDriver::Pointer workspace;
  uint64_t workspaceBytes;
  std::map<std::vector<int64_t>, std::unique_ptr<CudaProduct>> known; ///< null: no algorithm
};

} // namespace lmc
