#include "codegen/KernelTarget.h"

#include "codegen/cuda/Kernel.h"
#include "codegen/cuda/Nvrtc.h"
#include "codegen/cuda/Print.h"
#include "codegen/cuda/Resources.h"
#include "runtime/Error.h"
#include "runtime/KernelAbi.h"

#include <map>

using namespace mlir;

namespace lmc {
namespace {

class CudaTarget final : public KernelTarget {
public:
  explicit CudaTarget(const CodegenOptions &options)
      : architecture(cuda::architectureOf("cuda:" + options.gpu)) {
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
  std::string identity() const override { return canonical() + " " + assembledBy; }

  Source emit(plan::KernelOp kernel, const Symbols &symbols, StringRef symbol) const override {
    cuda::Ranges ranges;
    for (const auto &entry : symbols)
      ranges[entry.getKey()] = entry.getValue().max;
    cuda::Kernel made = cuda::emitKernel(kernel, ranges, symbol, architecture);
    Source source;
    source.text = cuda::translationUnit(made);
    for (const cuda::GridFactor &factor : made.grid)
      describe(*source.kernel.add_items(), factor, symbols);
    source.kernel.set_block_threads(made.block);
    source.kernel.set_shared_bytes(made.sharedBytes);
    for (const std::string &name : made.symbols)
      source.kernel.add_dims(symbols.at(name).dim);
    for (const cuda::TensorMap &map : made.maps)
      describe(*source.kernel.add_tensor_maps(), map, symbols);
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
      for (executable::Extent &extent = *to.add_sizes(); const cuda::GridFactor &factor : size)
        describe(*extent.add_factors(), factor, symbols);
    for (const auto &stride : map.strides)
      for (executable::Extent &extent = *to.add_strides(); const cuda::GridFactor &factor : stride)
        describe(*extent.add_factors(), factor, symbols);
    for (unsigned elements : map.box)
      to.add_box(elements);
  }

  std::string architecture;
  Assembler assemble;
  std::string assembledBy = "other";
};

} // namespace

std::unique_ptr<KernelTarget> makeCudaTarget(const CodegenOptions &options) {
  return std::make_unique<CudaTarget>(options);
}

} // namespace lmc
