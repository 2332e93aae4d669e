#include "codegen/KernelTarget.h"

#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Lowering.h"

#include "mlir/Parser/Parser.h"
#include "llvm/Support/raw_ostream.h"

#include <set>

using namespace mlir;

namespace lmc {
namespace {

class CpuTarget final : public KernelTarget {
public:
  explicit CpuTarget(const CodegenOptions &options) : target(cpu::Target::named(options.cpu)) {}

  std::string canonical() const override { return target.canonical(); }

  Source emit(plan::KernelOp kernel, const Symbols &symbols, StringRef symbol) const override {
    Source source;
    OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(kernel.getContext()));
    cpu::Emit emitter(*module, target);
    cpu::Schedule schedule = cpu::emitKernel(emitter, kernel, symbols, symbol);
    for (const cpu::ItemFactor &item : schedule.items) {
      auto *factor = source.kernel.add_items();
      factor->set_dim(item.dim);
      factor->set_mul(item.mul);
      factor->set_div(item.div);
    }
    source.kernel.set_grain(schedule.grain);
    source.kernel.set_scratch_bytes(schedule.scratchBytes);
    source.kernel.set_flops(schedule.flops);
    llvm::raw_string_ostream stream(source.text);
    module->print(stream, OpPrintingFlags().printGenericOpForm().enableDebugInfo(false));
    return source;
  }

  /// Each thread that compiles has an MLIRContext of its own; a module reaches it as text.
  Assembler assembler() const override {
    auto context = std::make_shared<MLIRContext>(MLIRContext::Threading::DISABLED);
    cpu::loadCodegenDialects(*context);
    return [this, context](const std::string &text) -> Assembled {
      auto module = parseSourceString<ModuleOp>(text, ParserConfig(context.get()));
      assert(module && "what was printed parses");
      cpu::Bytes object = cpu::compileObject(*module, target);
      return {std::string(reinterpret_cast<const char *>(object.data()), object.size()), {}};
    };
  }

  std::vector<std::byte> link(const std::vector<Linked> &kernels) const override {
    std::vector<cpu::Bytes> objects;
    std::set<std::string> linked;
    for (const Linked &each : kernels) {
      const auto *begin = reinterpret_cast<const std::byte *>(each.object->data());
      if (linked.insert(each.kernel->symbol()).second)
        objects.emplace_back(begin, begin + each.object->size());
    }
    return cpu::linkShared(objects);
  }

private:
  cpu::Target target;
};

} // namespace

std::unique_ptr<KernelTarget> makeCpuTarget(const CodegenOptions &options) {
  return std::make_unique<CpuTarget>(options);
}

} // namespace lmc
