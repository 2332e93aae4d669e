#include "runtime/Verify.h"

#include "runtime/CudaDriver.h"
#include "runtime/Error.h"
#include "runtime/Executable.h"
#include "runtime/Extent.h"
#include "runtime/KernelAbi.h"

#include <algorithm>
#include <string>
#include <unordered_set>

namespace lmc {
namespace {

// Times 2^16 slots or 1024 workers, and summed, it stays below 2^64.
constexpr uint64_t kMostBytes = uint64_t(1) << 46;
constexpr int64_t kMostItems = int64_t(1) << 40;
constexpr int64_t kLargestDim = int64_t(1) << 40;
// Of CUDA: threads and dynamic shared memory of a block, blocks of a launch.
constexpr uint32_t kMostThreads = 1024;
constexpr uint64_t kMostShared = 227 << 10;
// Of tensor maps (cuTensorMapEncodeTiled).
constexpr int kMostMapRank = 5;
constexpr uint32_t kMostBox = 256;
constexpr uint64_t kSwizzleBytes = 128;
constexpr int64_t kMostMapSize = int64_t(1) << 32, kMostMapStride = int64_t(1) << 40;
constexpr uint64_t kMapAlignment = 16;
// Of cuBLASLt: sizes and steps of matrices are 32-bit there for some kernels.
constexpr int64_t kMostMatrixSize = (int64_t(1) << 31) - 1;
constexpr int64_t kMostBlocks = (int64_t(1) << 31) - 1;

/// One field's place, as "programs[1].buffers[2]".
using Path = std::string;

class Verifier {
public:
  Verifier(const executable::Executable &message, uint64_t dataBytes)
      : message(message), dataBytes(dataBytes) {}

  void run() {
    if (message.format_version() != 1)
      fail("format_version: {} is not supported, this version of lmc reads 1",
           message.format_version());
    if (message.mode() != "train" && message.mode() != "infer")
      fail("mode: '{}' is neither train nor infer", message.mode());
    checkSize("state_bytes", message.state_bytes(), kMostBytes);
    checkSize("slot_bytes", message.slot_bytes(), kMostBytes);
    checkSize("transient_bytes", message.transient_bytes(), kMostBytes);
    checkSize("scratch_bytes", message.scratch_bytes(), kMostBytes);
    checkDims();
    checkCode();
    checkTensors();
    checkPrograms();
  }

private:
  void checkDims() {
    for (int i = 0; i < message.dims_size(); ++i) {
      const executable::Dim &dim = message.dims(i);
      if (dim.min() < 0 || dim.min() > dim.max() || dim.max() > kLargestDim)
        fail("dims[{}] ('{}'): bad range {} to {}", i, dim.name(), dim.min(), dim.max());
      largest.push_back(dim.max());
    }
  }

  void checkCode() {
    checkStored("code", message.code_offset(), message.code_bytes(), kArenaAlignment);
    if (message.kernels_size() > 0 && message.code_bytes() == 0)
      fail("code_bytes: 0, but there are {} kernels", message.kernels_size());
    for (int i = 0; i < message.kernels_size(); ++i) {
      const executable::Kernel &kernel = message.kernels(i);
      if (kernel.symbol().empty() || kernel.symbol().find('\0') != std::string::npos)
        fail("kernels[{}].symbol: not a name", i);
      checkSize(fmt::format("kernels[{}].scratch_bytes", i), kernel.scratch_bytes(),
                message.scratch_bytes());
      if (isCudaTarget(message.target()))
        checkBlock(fmt::format("kernels[{}]", i), kernel);
    }
  }

  void checkBlock(const Path &path, const executable::Kernel &kernel) {
    if (kernel.block_threads() < 1 || kernel.block_threads() > kMostThreads)
      fail("{}.block_threads: {} is not 1 to {}", path, kernel.block_threads(), kMostThreads);
    checkSize(path + ".shared_bytes", kernel.shared_bytes(), kMostShared);
    for (uint32_t dim : kernel.dims())
      checkIndex(path + ".dims", dim, message.dims_size());
    for (int i = 0; i < kernel.tensor_maps_size(); ++i)
      checkTensorMap(fmt::format("{}.tensor_maps[{}]", path, i), kernel.tensor_maps(i));
    if (kernel.has_library())
      checkLibrary(path + ".library", kernel.library());
    checkRange(path + ".image", kernel.image_offset(), kernel.image_bytes(), message.code_bytes());
  }

  /// Is it a product of types and sizes that cuBLASLt knows? That it stays in its buffers is for
  /// launches.
  void checkLibrary(const Path &path, const executable::LibraryProduct &product) {
    for (executable::DType type : {product.operands(), product.result()})
      if (type != executable::F32 && type != executable::BF16)
        fail("{}: {} is neither F32 nor BF16", path, int(type));
    if (product.operands() == executable::F32 && product.result() != executable::F32)
      fail("{}.result: a product of F32 is F32", path);
    for (const executable::Extent *size :
         {&product.m(), &product.n(), &product.k(), &product.batch()})
      if (auto most = tryEvaluate(*size, largest); !most || *most > kMostMatrixSize)
        fail("{}: m, n, k or batch is not a sane extent", path);
    for (const auto *operand : {&product.a(), &product.b()}) {
      auto step = tryEvaluate(operand->step(), largest);
      if (!step || *step > kMostMatrixSize || !tryEvaluate(operand->batch_step(), largest))
        fail("{}: an operand's steps are not sane extents", path);
      if (operand->offset() % sizeOf(product.operands()))
        fail("{}: an operand's offset is no multiple of its elements' size", path);
    }
    if (product.least_rows() < 1)
      fail("{}.least_rows: {}, must be 1 or more", path, product.least_rows());
  }

  /// What the driver asks of tensor maps; that they stay in their buffers is for launches.
  void checkTensorMap(const Path &path, const executable::TensorMap &map) {
    int rank = map.sizes_size();
    if (rank < 1 || rank > kMostMapRank || map.strides_size() != rank - 1 || map.box_size() != rank)
      fail("{}: {} sizes, {} strides and {} box sizes are not those of 1 to {} dimensions", path,
           rank, map.strides_size(), map.box_size(), kMostMapRank);
    checkType(path, map.dtype());
    if (map.dtype() != executable::BF16 || map.swizzle_bytes() != kSwizzleBytes)
      fail("{}: {} in rows of {} bytes; BF16 in rows of {} is known", path, nameOf(map.dtype()),
           map.swizzle_bytes(), kSwizzleBytes);
    for (uint32_t elements : map.box())
      if (elements < 1 || elements > kMostBox)
        fail("{}.box: {} is not 1 to {}", path, elements, kMostBox);
    if (map.box(0) * sizeOf(map.dtype()) > kSwizzleBytes)
      fail("{}.box: {} elements are more than {} bytes", path, map.box(0), kSwizzleBytes);
    for (const executable::Extent &size : map.sizes())
      if (auto most = tryEvaluate(size, largest); !most || *most < 1 || *most > kMostMapSize)
        fail("{}.sizes: not a sane extent", path);
    for (const executable::Extent &stride : map.strides())
      if (auto most = tryEvaluate(stride, largest);
          !most || *most >= kMostMapStride || *most % kMapAlignment)
        fail("{}.strides: not a sane multiple of {}", path, kMapAlignment);
    if (map.offset() % kMapAlignment)
      fail("{}.offset: {} is not a multiple of {}", path, map.offset(), kMapAlignment);
  }

  void checkTensors() {
    std::unordered_set<std::string_view> names;
    for (int i = 0; i < message.tensors_size(); ++i) {
      const executable::Tensor &tensor = message.tensors(i);
      Path path = fmt::format("tensors[{}] ('{}')", i, tensor.name());
      if (tensor.name().empty() || !names.insert(tensor.name()).second)
        fail("{}.name: empty or used twice", path);
      if (!executable::Role_IsValid(tensor.role()) || tensor.role() == executable::ROLE_INVALID ||
          tensor.role() == executable::ACTIVATION)
        fail("{}.role: {} is not a role of a tensor", path, int(tensor.role()));
      checkShape(path, tensor);
      if (tensor.has_packing())
        checkPacking(path, tensor);
      checkPlace(path, tensor);
    }
    checkOverlap(false);
    checkOverlap(true);
  }

  void checkShape(const Path &path, const executable::Tensor &tensor) {
    checkType(path, tensor.dtype());
    executable::Extent elements;
    int symbolic = 0;
    for (int64_t extent : tensor.shape()) {
      executable::Extent::Factor *factor = elements.add_factors();
      factor->set_mul(extent);
      factor->set_dim(-1);
      if (extent != -1)
        continue;
      if (symbolic >= tensor.dims_size())
        fail("{}.dims: {} entries, but shape has more symbolic extents", path, tensor.dims_size());
      factor->set_mul(1);
      factor->set_div(1);
      // A negative index must not be taken for a constant factor.
      int32_t dim = tensor.dims(symbolic++);
      factor->set_dim(dim < 0 ? INT32_MAX : dim);
    }
    if (symbolic != tensor.dims_size())
      fail("{}.dims: {} entries for {} symbolic extents", path, tensor.dims_size(), symbolic);
    checkElements(path + ".shape", elements, tensor.dtype(), tensor.bytes());
  }

  /// Panels hold the whole matrix that the name stands for.
  void checkPacking(const Path &path, const executable::Tensor &tensor) {
    const executable::Packing &packing = tensor.packing();
    bool blocks = !packing.blocks().empty();
    // Blocks may be those of a matrix for each expert.
    bool ofExperts = blocks && packing.shape_size() == 3 && tensor.shape_size() == 3 &&
                     packing.shape(0) == tensor.shape(0);
    bool ofMatrix = packing.shape_size() == 2 && tensor.shape_size() == (blocks ? 2 : 3);
    if (tensor.role() != executable::PARAMETER || tensor.dims_size() != 0 ||
        !(ofExperts || ofMatrix) || (blocks && tensor.dtype() != executable::U8))
      fail("{}.packing: only a parameter of static shape holds a matrix as panels", path);
    if (blocks)
      return; // their size is the code's to know, as its instructions are
    int64_t depth = packing.shape(packing.transposed() ? 1 : 0);
    int64_t columns = packing.shape(packing.transposed() ? 0 : 1), width = tensor.shape(2);
    if (depth < 1 || columns < 1 || width < 1 || tensor.shape(1) < depth ||
        tensor.shape(0) != columns / width + (columns % width != 0))
      fail("{}.packing: {} x {} elements are not {} panels of [{}, {}]", path, depth, columns,
           tensor.shape(0), tensor.shape(1), width);
  }

  void checkPlace(const Path &path, const executable::Tensor &tensor) {
    checkSize(path + ".bytes", tensor.bytes(), kMostBytes);
    bool stored = tensor.data_offset() >= 0, cache = tensor.role() == executable::CACHE;
    if (tensor.data_offset() < -1 || tensor.arena_offset() < -1)
      fail("{}: data_offset {} and arena_offset {} must be -1 or more", path, tensor.data_offset(),
           tensor.arena_offset());
    if (stored && cache)
      fail("{}.data_offset: {}, but a cache starts as zeros", path, tensor.data_offset());
    if (stored)
      checkStored(path + ".data", tensor.data_offset(), tensor.bytes(),
                  sizeOf(tensor.dtype())); // a model's file aligns no more
    if (tensor.arena_offset() >= 0)
      checkRange(path + ".arena", tensor.arena_offset(), tensor.bytes(),
                 cache ? message.slot_bytes() : message.state_bytes());
    else if (!stored)
      fail("{}: neither stored in the file nor placed in the arena", path);
  }

  /// Tensors outlive runs, so two of them never share memory.
  void checkOverlap(bool caches) {
    std::vector<int> order;
    for (int i = 0; i < message.tensors_size(); ++i)
      if (const auto &tensor = message.tensors(i); tensor.arena_offset() >= 0 &&
                                                   tensor.bytes() > 0 &&
                                                   (tensor.role() == executable::CACHE) == caches)
        order.push_back(i);
    std::ranges::sort(order, {}, [&](int i) { return message.tensors(i).arena_offset(); });
    for (size_t i = 1; i < order.size(); ++i) {
      const auto &before = message.tensors(order[i - 1]), &after = message.tensors(order[i]);
      if (uint64_t(before.arena_offset()) + before.bytes() > uint64_t(after.arena_offset()))
        fail("tensors[{}] ('{}').arena_offset: overlaps '{}'", order[i], after.name(),
             before.name());
    }
  }

  void checkPrograms() {
    std::unordered_set<std::string_view> names;
    for (int i = 0; i < message.programs_size(); ++i) {
      const executable::Program &program = message.programs(i);
      Path path = fmt::format("programs[{}] ('{}')", i, program.name());
      if (program.name().empty() || !names.insert(program.name()).second)
        fail("{}.name: empty or used twice", path);
      checkSize(path + ".transient_bytes", program.transient_bytes(), message.transient_bytes());
      for (uint32_t index : program.inputs())
        checkIndex(path + ".inputs", index, message.tensors_size());
      for (uint32_t index : program.outputs())
        checkIndex(path + ".outputs", index, message.tensors_size());
      for (int b = 0; b < program.buffers_size(); ++b)
        checkBuffer(fmt::format("{}.buffers[{}]", path, b), program.buffers(b), program);
      for (int l = 0; l < program.launches_size(); ++l)
        checkLaunch(fmt::format("{}.launches[{}]", path, l), program.launches(l), program);
    }
  }

  void checkBuffer(const Path &path, const executable::Buffer &buffer,
                   const executable::Program &program) {
    checkType(path, buffer.dtype());
    if (buffer.segment() == executable::Buffer::TRANSIENT) {
      checkRange(path + ".transient", buffer.offset(), buffer.bytes(), program.transient_bytes());
    } else if (buffer.segment() == executable::Buffer::TENSOR) {
      checkIndex(path + ".tensor", buffer.tensor(), message.tensors_size());
      const executable::Tensor &tensor = message.tensors(buffer.tensor());
      checkRange(path + ".tensor", buffer.offset(), buffer.bytes(), tensor.bytes());
    } else {
      fail("{}.segment: {} is unknown", path, int(buffer.segment()));
    }
    checkElements(path + ".elements", buffer.elements(), buffer.dtype(), buffer.bytes());
  }

  void checkLaunch(const Path &path, const executable::Launch &launch,
                   const executable::Program &program) {
    checkIndex(path + ".kernel", launch.kernel(), message.kernels_size());
    if (launch.num_inputs() > uint32_t(launch.buffers_size()))
      fail("{}.num_inputs: {} of {} buffers", path, launch.num_inputs(), launch.buffers_size());
    int outputs = launch.buffers_size() - int(launch.num_inputs());
    if (launch.output_ops_size() != outputs || launch.output_paths_size() != outputs)
      fail("{}: {} outputs, but {} output_ops and {} output_paths", path, outputs,
           launch.output_ops_size(), launch.output_paths_size());
    for (int i = 0; i < launch.buffers_size(); ++i) {
      checkIndex(path + ".buffers", launch.buffers(i), program.buffers_size());
      const executable::Buffer &buffer = program.buffers(launch.buffers(i));
      if (uint32_t(i) < launch.num_inputs() || buffer.segment() != executable::Buffer::TENSOR)
        continue;
      const executable::Tensor &tensor = message.tensors(buffer.tensor());
      if (tensor.arena_offset() < 0 || tensor.role() == executable::CONSTANT)
        fail("{}.buffers: writes '{}', which is read-only", path, tensor.name());
    }
    if (isCudaTarget(message.target())) {
      uint32_t addresses = message.kernels(static_cast<int>(launch.kernel())).addresses();
      if (addresses > 0 && addresses != uint32_t(launch.buffers_size()))
        fail("{}.buffers: {}, but the kernel takes {} addresses", path, launch.buffers_size(),
             addresses);
      checkTensorMaps(path, launch, program);
      checkLibraryReach(path, launch, program);
    }
    auto items = tryEvaluate(launch.items(), largest);
    int64_t mostItems = isCudaTarget(message.target()) ? kMostBlocks : kMostItems;
    if (!items || *items > mostItems || launch.grain() < 0 || launch.grain() > kMostItems)
      fail("{}: items or grain is not a sane count", path);
  }

  /// Do the maps of a launch stay in their buffers?
  void checkTensorMaps(const Path &path, const executable::Launch &launch,
                       const executable::Program &program) {
    const executable::Kernel &kernel = message.kernels(static_cast<int>(launch.kernel()));
    for (const executable::TensorMap &map : kernel.tensor_maps()) {
      checkIndex(path + ".tensor_maps.buffer", map.buffer(), launch.buffers_size());
      using Wide = __int128;
      Wide end = Wide(map.offset()) + Wide(evaluate(map.sizes(0), largest)) * sizeOf(map.dtype());
      for (int i = 0; i < map.strides_size(); ++i)
        end += Wide(evaluate(map.sizes(i + 1), largest) - 1) * evaluate(map.strides(i), largest);
      uint32_t index = launch.buffers(static_cast<int>(map.buffer()));
      if (uint64_t bytes = program.buffers(static_cast<int>(index)).bytes(); end > Wide(bytes))
        fail("{}.tensor_maps: a map leaves its buffer of {} bytes", path, bytes);
    }
  }

  /// Does a library's product stay in its buffers?
  void checkLibraryReach(const Path &path, const executable::Launch &launch,
                         const executable::Program &program) {
    const executable::Kernel &kernel = message.kernels(static_cast<int>(launch.kernel()));
    if (!kernel.has_library())
      return;
    using Wide = __int128;
    const executable::LibraryProduct &product = kernel.library();
    Wide m = evaluate(product.m(), largest), n = evaluate(product.n(), largest);
    Wide k = evaluate(product.k(), largest), batch = evaluate(product.batch(), largest);
    auto check = [&](const char *what, uint32_t number, executable::DType type, Wide offset,
                     Wide elements) {
      checkIndex(path + ".library." + what, number, launch.buffers_size());
      uint64_t bytes =
          program.buffers(static_cast<int>(launch.buffers(static_cast<int>(number)))).bytes();
      if (offset + elements * static_cast<Wide>(sizeOf(type)) > Wide(bytes))
        fail("{}.library.{}: leaves its buffer of {} bytes", path, what, bytes);
    };
    auto operand = [&](const char *what, const executable::LibraryProduct::Operand &of, Wide lines,
                       Wide width) {
      Wide step = evaluate(of.step(), largest);
      if (step < width)
        fail("{}.library.{}.step: {} elements from line to line of {}", path, what, int64_t(step),
             int64_t(width));
      Wide elements = (batch - 1) * evaluate(of.batch_step(), largest) + (lines - 1) * step + width;
      check(what, of.buffer(), product.operands(), Wide(of.offset()), elements);
    };
    operand("a", product.a(), product.a().transposed() ? k : m, product.a().transposed() ? m : k);
    operand("b", product.b(), product.b().transposed() ? n : k, product.b().transposed() ? k : n);
    check("result_buffer", product.result_buffer(), product.result(), 0, batch * m * n);
    if (product.result_buffer() < launch.num_inputs())
      fail("{}.library.result_buffer: {} is an input", path, product.result_buffer());
    if (product.has_bias())
      check("bias", product.bias(), product.result(), 0, n);
    if (product.has_addend())
      check("addend", product.addend(), product.result(), 0, batch * m * n);
  }

  void checkType(const Path &path, executable::DType type) {
    if (!executable::DType_IsValid(type) || type == executable::DTYPE_INVALID)
      fail("{}.dtype: {} is unknown", path, int(type));
  }

  void checkElements(const Path &path, const executable::Extent &elements, executable::DType type,
                     uint64_t bytes) {
    auto count = tryEvaluate(elements, largest);
    if (!count)
      fail("{}: not a sane extent", path);
    if (uint64_t(*count) > bytes / sizeOf(type))
      fail("{}: {} elements of {} do not fit {} bytes", path, *count, nameOf(type), bytes);
  }

  static void checkSize(const Path &path, uint64_t bytes, uint64_t limit) {
    if (bytes > limit)
      fail("{}: {}, at most {} is possible", path, bytes, limit);
  }

  static void checkIndex(const Path &path, uint64_t index, int count) {
    if (index >= uint64_t(count))
      fail("{}: index {}, there are {}", path, index, count);
  }

  void checkStored(const Path &path, uint64_t offset, uint64_t bytes, uint64_t alignment) {
    checkRange(path, offset, bytes, dataBytes, alignment);
  }

  static void checkRange(const Path &path, uint64_t offset, uint64_t bytes, uint64_t limit,
                         uint64_t alignment = kArenaAlignment) {
    if (offset > limit || bytes > limit - offset)
      fail("{}_offset: {} bytes at {} leave their region of {} bytes", path, bytes, offset, limit);
    if (offset % alignment)
      fail("{}_offset: {} is not a multiple of {}", path, offset, alignment);
  }

  const executable::Executable &message;
  uint64_t dataBytes;
  std::vector<int64_t> largest; // every dim's maximum
};

} // namespace

void verify(const executable::Executable &message, uint64_t dataBytes) {
  Verifier(message, dataBytes).run();
}

} // namespace lmc
