#include "codegen/KernelTarget.h"

#include "codegen/cuda/Kernel.h"
#include "codegen/cuda/LibraryProduct.h"
#include "codegen/cuda/Nvrtc.h"
#include "codegen/cuda/Print.h"
#include "codegen/cuda/Resources.h"
#include "runtime/Error.h"
#include "runtime/KernelAbi.h"

#include <map>

using namespace mlir;

namespace lmc {
namespace {

/// What cuBLASLt is given to work in: NVIDIA's advice for sm_90 and for older ones, and room to begin
/// at a multiple of kLibraryAlignment.
int64_t workspaceBytes(StringRef architecture) {
  bool older = architecture.starts_with("sm_8") || architecture.starts_with("sm_7");
  return (int64_t(older ? 4 : 32) << 20) +
         static_cast<int64_t>(kLibraryAlignment - kArenaAlignment);
}

cuda::Ranges largestOf(const Symbols &symbols) {
  cuda::Ranges ranges;
  for (const auto &entry : symbols)
    ranges[entry.getKey()] = entry.getValue().max;
  return ranges;
}

class CudaTarget final : public KernelTarget {
public:
  explicit CudaTarget(const CodegenOptions &options)
      : architecture(cuda::architectureOf("cuda:" + options.gpu)), products(options.products) {
    if (options.assembleCuda) {
      assemble = [make = options.assembleCuda](const std::string &text) -> Assembled {
        return {make(text), {}};
      };
      return;
    }
    std::string why;
    const cuda::Nvrtc *compiler = cuda::Nvrtc::open(&why);
    if (!compiler)
      fail("cannot make code for a GPU: {}; --emit=cuda works without it", why);
    assembledBy = "nvrtc " + compiler->version();
    assemble = [compiler, architecture = architecture](const std::string &text) -> Assembled {
      std::string log;
      std::vector<char> cubin = compiler->cubin(text, architecture, &log);
      return {std::string(cubin.data(), cubin.size()), cuda::warningsOf(log)};
    };
  }

  std::string canonical() const override { return "cuda:" + architecture; }
  std::string identity() const override {
    return canonical() + " " + assembledBy + (products == Products::Library ? " cublaslt" : "");
  }

  Source emit(plan::KernelOp kernel, const Symbols &symbols, StringRef symbol) const override {
    cuda::Ranges ranges = largestOf(symbols);
    cuda::Kernel made = cuda::emitKernel(kernel, ranges, symbol, architecture);
    Source source;
    source.text = cuda::translationUnit(made);
    for (const cuda::GridFactor &factor : made.grid)
      describe(*source.kernel.add_items(), factor, symbols);
    source.kernel.set_block_threads(made.block);
    source.kernel.set_shared_bytes(made.sharedBytes);
    source.kernel.set_addresses(made.addresses);
    for (const std::string &name : made.symbols)
      source.kernel.add_dims(symbols.at(name).dim);
    for (const cuda::TensorMap &map : made.maps)
      describe(*source.kernel.add_tensor_maps(), map, symbols);
    if (products == Products::Library && kernel.getFamily() == "matmul")
      addLibrary(source.kernel, cuda::fitLibrary(kernel, ranges), symbols);
    return source;
  }

  Assembler assembler() const override { return assemble; }

  /// Cubins are loaded one by one: nothing in one refers to another.
  std::vector<std::byte> link(const std::vector<Linked> &kernels) const override {
    std::vector<std::byte> code;
    std::map<std::string, uint64_t> placed;
    for (const Linked &each : kernels) {
      auto [at, isNew] = placed.try_emplace(each.kernel->symbol(), code.size());
      each.kernel->set_image_offset(at->second);
      each.kernel->set_image_bytes(each.object->size());
      if (!isNew)
        continue;
      const auto *begin = reinterpret_cast<const std::byte *>(each.object->data());
      code.insert(code.end(), begin, begin + each.object->size());
      code.resize(alignUp(code.size()));
    }
    return code;
  }

private:
  void addLibrary(codegen::CachedKernel &kernel, const cuda::LibraryFit &fit,
                  const Symbols &symbols) const {
    kernel.set_no_library(fit.refusal);
    if (!fit.product)
      return;
    kernel.set_scratch_bytes(workspaceBytes(architecture));
    const cuda::LibraryProduct &from = *fit.product;
    executable::LibraryProduct &to = *kernel.mutable_library();
    to.set_operands(from.bf16 ? executable::BF16 : executable::F32);
    to.set_result(from.roundsResult ? executable::BF16 : executable::F32);
    describe(*to.mutable_m(), from.m, symbols);
    describe(*to.mutable_n(), from.n, symbols);
    describe(*to.mutable_k(), from.k, symbols);
    describe(*to.mutable_batch(), from.batch, symbols);
    describe(*to.mutable_a(), from.a, symbols);
    describe(*to.mutable_b(), from.b, symbols);
    to.set_result_buffer(from.resultBuffer);
    if (from.bias)
      to.set_bias(*from.bias);
    if (from.addend)
      to.set_addend(*from.addend);
    to.set_gelu(from.gelu);
    to.set_least_rows(cuda::kLeastLibraryRows);
  }

  static void describe(executable::LibraryProduct::Operand &to, const cuda::LibraryOperand &from,
                       const Symbols &symbols) {
    to.set_buffer(from.buffer);
    to.set_offset(from.offset);
    to.set_transposed(from.transposed);
    describe(*to.mutable_step(), from.step, symbols);
    describe(*to.mutable_batch_step(), from.batchStep, symbols);
  }

  static void describe(executable::Extent &to, ArrayRef<cuda::GridFactor> factors,
                       const Symbols &symbols) {
    for (const cuda::GridFactor &factor : factors)
      describe(*to.add_factors(), factor, symbols);
  }

  /// To a factor of the executable's extents or of a cached kernel's items.
  template <typename Factor>
  static void describe(Factor &to, const cuda::GridFactor &factor, const Symbols &symbols) {
    bool fixed = factor.symbol.empty();
    to.set_dim(fixed ? -1 : static_cast<int>(symbols.at(factor.symbol).dim));
    to.set_mul(fixed ? (factor.mul + factor.div - 1) / factor.div : factor.mul);
    to.set_div(fixed ? 1 : factor.div);
  }

  static void describe(executable::TensorMap &to, const cuda::TensorMap &map,
                       const Symbols &symbols) {
    to.set_buffer(map.buffer);
    to.set_offset(map.offset);
    to.set_dtype(executable::BF16);
    to.set_swizzle_bytes(128);
    for (const auto &size : map.sizes)
      describe(*to.add_sizes(), size, symbols);
    for (const auto &stride : map.strides)
      describe(*to.add_strides(), stride, symbols);
    for (unsigned elements : map.box)
      to.add_box(elements);
  }

  std::string architecture;
  Products products;
  Assembler assemble;
  std::string assembledBy = "other";
};

} // namespace

std::unique_ptr<KernelTarget> makeCudaTarget(const CodegenOptions &options) {
  return std::make_unique<CudaTarget>(options);
}

int64_t libraryScratchBytes(ModuleOp plan, const CodegenOptions &options) {
  if (options.products != Products::Library)
    return 0;
  cuda::Ranges ranges = cuda::rangesOf(plan);
  for (auto kernel : plan.getOps<plan::KernelOp>())
    if (kernel.getFamily() == "matmul" && cuda::fitLibrary(kernel, ranges).product)
      return workspaceBytes(options.gpu);
  return 0;
}

} // namespace lmc
